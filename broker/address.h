/*
 * A host address of the TAP as the administrator writes it: 192.0.2.1/24 or 2001:db8::1/64.
 */
#ifndef AIRLOCK_BROKER_ADDRESS_H
#define AIRLOCK_BROKER_ADDRESS_H

#include <stddef.h>
#include <stdint.h>

struct address {
	int family; /* AF_INET or AF_INET6 */
	uint8_t prefix;
	uint8_t bytes[16]; /* network order; IPv4 uses the first four */
	const char *text;  /* as it was written; not copied */
};

/* Bytes of an address of this family. */
size_t address_size(const struct address *address);
/*
 * The whole text must be ADDRESS/PREFIX. -EINVAL otherwise, for a multicast, loopback or
 * unspecified address, and for the network's own address of a prefix that has one (IPv4, shorter
 * than /31).
 */
int address_parse(const char *text, struct address *out);

#endif
