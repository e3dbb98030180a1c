/*
 * Reads one --address. Runs in the broker while it reads its command line; trusts the administrator
 * to mean well, not to type well.
 */
#include "broker/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t address_size(const struct address *address)
{
	return address->family == AF_INET ? 4 : 16;
}

static int prefix_parse(const char *text, unsigned most, uint8_t *out)
{
	unsigned long prefix;
	char *end;

	if (*text < '0' || *text > '9')
		return -EINVAL;
	prefix = strtoul(text, &end, 10);
	if (*end || prefix < 1 || prefix > most)
		return -EINVAL;
	*out = (uint8_t)prefix;
	return 0;
}

/* An address that an interface can own. */
static bool address_usable(const struct address *address)
{
	struct in6_addr v6;
	uint32_t v4;

	if (address->family == AF_INET6) {
		memcpy(&v6, address->bytes, sizeof(v6));
		return !IN6_IS_ADDR_UNSPECIFIED(&v6) && !IN6_IS_ADDR_LOOPBACK(&v6) &&
		       !IN6_IS_ADDR_MULTICAST(&v6) && !IN6_IS_ADDR_V4MAPPED(&v6);
	}
	memcpy(&v4, address->bytes, sizeof(v4));
	v4 = ntohl(v4);
	if (v4 >> 24 == 0 || v4 >> 24 == 127 || v4 >> 28 >= 14)
		return false;
	return address->prefix > 30 || v4 << address->prefix != 0;
}

int address_parse(const char *text, struct address *out)
{
	struct address address = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	char host[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');

	if (!slash || (size_t)(slash - text) >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, (size_t)(slash - text));
	host[slash - text] = '\0';
	if (inet_pton(address.family, host, address.bytes) != 1)
		return -EINVAL;
	if (prefix_parse(slash + 1, address.family == AF_INET ? 32 : 128, &address.prefix))
		return -EINVAL;
	if (!address_usable(&address))
		return -EINVAL;
	address.text = text;
	*out = address;
	return 0;
}
