/* SHA-256 (FIPS 180-4) of what is in memory: the kernel's AF_ALG is not for a confined process. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *data, size_t size, uint8_t digest[SHA256_SIZE]);

/* The same in lower-case hex, with its NUL. */
void sha256_hex(const void *data, size_t size, char hex[2 * SHA256_SIZE + 1]);
