/* Escapes text for HTML. Pure functions; the text is anybody's. */
#include "lib/html.h"

#include <inttypes.h>
#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static const char *reference(unsigned char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return c < ' ' && c != '\t' && c != '\n' ? REPLACEMENT : NULL;
	}
}

/* The length of a well-formed UTF-8 character of several bytes, or 0 (Unicode, table 3-7). */
static size_t character(const unsigned char *at)
{
	static const struct {
		unsigned char first, last, low, high;
		size_t length;
	} rows[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (at[0] < rows[i].first || at[0] > rows[i].last)
			continue;
		if (at[1] < rows[i].low || at[1] > rows[i].high)
			return 0;
		for (size_t n = 2; n < rows[i].length; n++)
			if ((at[n] & 0xc0) != 0x80)
				return 0;
		return rows[i].length;
	}
	return 0;
}

void html_text(FILE *out, const char *text)
{
	const unsigned char *at = (const unsigned char *)(text ? text : "");

	while (*at) {
		const char *instead = reference(*at);
		size_t length = *at < 0x80 ? 1 : character(at);

		if (instead)
			fputs(instead, out);
		else if (length)
			fwrite(at, 1, length, out);
		else
			fputs(REPLACEMENT, out);
		at += length ? length : 1;
	}
}

void html_number(FILE *out, uint64_t number)
{
	char digits[24];
	size_t length = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, number);

	for (size_t i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			fputc(',', out);
		fputc(digits[i], out);
	}
}
