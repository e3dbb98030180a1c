/*
 * A device that does what its filter forbids, on request: airlock-device itself, with two of its
 * functions wrapped by the linker (--wrap). Reading one byte of configuration space at FIRST_OFFSET
 * + i makes the control thread try call i; a transmitted frame of FIRST_LENGTH + i bytes makes a
 * worker try it. Tests see it die and hear the broker name the call. Confined like the real one;
 * never installed.
 */
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "device/net.h"
#include "lib/util.h"
#include "tests/integration/denied_calls.h"

int __real_net_config_read(const struct net_setup *setup, uint32_t off, void *dst, uint32_t len);
int __wrap_net_config_read(const struct net_setup *setup, uint32_t off, void *dst, uint32_t len);
int __real_net_hdr_check(struct net_hdr *hdr, uint32_t frame_len, uint64_t negotiated);
int __wrap_net_hdr_check(struct net_hdr *hdr, uint32_t frame_len, uint64_t negotiated);

static void try_call(size_t i)
{
	const struct denied_call *c = &denied_calls[i];

	if (i < ARRAY_SIZE(denied_calls))
		syscall(c->nr, c->args[0], c->args[1], c->args[2], c->args[3], c->args[4],
			c->args[5]);
}

int __wrap_net_config_read(const struct net_setup *setup, uint32_t off, void *dst, uint32_t len)
{
	if (len == 1 && off >= DENIED_FIRST_OFFSET)
		try_call(off - DENIED_FIRST_OFFSET);
	return __real_net_config_read(setup, off, dst, len);
}

int __wrap_net_hdr_check(struct net_hdr *hdr, uint32_t frame_len, uint64_t negotiated)
{
	if (frame_len >= DENIED_FIRST_LENGTH)
		try_call(frame_len - DENIED_FIRST_LENGTH);
	return __real_net_hdr_check(hdr, frame_len, negotiated);
}
