/* Text on its way into a page: the only way in for anything that is not a constant of ours. */
#ifndef AIRLOCK_LIB_HTML_H
#define AIRLOCK_LIB_HTML_H

#include <stdint.h>
#include <stdio.h>

/*
 * Writes `text` (NULL: nothing) so that it is the same text between tags and within a quoted
 * attribute: & < > " ' as references, control characters and what is not UTF-8 as U+FFFD.
 */
void html_text(FILE *out, const char *text);

/* 1234567 as "1,234,567". */
void html_number(FILE *out, uint64_t number);

#endif
