/*
 * The Internet checksum. Pure functions of their arguments; any thread. Bytes may lie in guest
 * memory and change: each is read once, and a sum is all that comes of it.
 */
#include "device/checksum.h"

#include <string.h>

/* Two at a time, as any machine has them: words of 32 bits into sums of 64. */
typedef uint64_t lanes __attribute__((vector_size(16)));

static uint64_t tail_sum(const unsigned char *p, size_t len)
{
	uint64_t sum = 0;
	uint32_t word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		sum += word;
	}
	word = 0;
	memcpy(&word, p, len);
	return sum + word;
}

uint64_t checksum_sum(const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	lanes a = { 0 }, b = { 0 }, c = { 0 }, d = { 0 }, v, w;

	for (; len >= sizeof(v) + sizeof(w); len -= sizeof(v) + sizeof(w)) {
		memcpy(&v, p, sizeof(v));
		memcpy(&w, p + sizeof(v), sizeof(w));
		a += v & UINT32_MAX;
		b += v >> 32;
		c += w & UINT32_MAX;
		d += w >> 32;
		p += sizeof(v) + sizeof(w);
	}
	a += b + c + d;
	return a[0] + a[1] + tail_sum(p, len);
}

uint16_t checksum_fold(uint64_t sum)
{
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT32_MAX) + (sum >> 32);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	sum = (sum & UINT16_MAX) + (sum >> 16);
	return (uint16_t)sum;
}
