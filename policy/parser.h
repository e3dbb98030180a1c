/* What the parser's own files share: the state of one parse. */
#pragma once

#include "policy/arena.h"
#include "policy/lex.h"
#include "policy/source.h"

#define PARSER_NUMBERS 1024 /* above every system call number of the tables */
#define PARSER_ERRORS  100  /* after so many, a file is not worth reading on */

struct policy_parser {
	const struct policy_parse_options *options;
	struct policy *policy;
	struct policy_source *source; /* the innermost file */
	struct policy_lex *lex;	      /* its lexer */
	struct policy_token token;    /* the one to look at */
	unsigned depth;		      /* files open */
	unsigned errors;
	bool bad_line;	    /* an error was reported in this logical line */
	bool out_of_memory; /* or of the arena's limit */
	bool denylist_said; /* in this file */
	struct policy_place default_place;
	struct policy_rule *rules[PARSER_NUMBERS];
	struct policy_filter **tails[PARSER_NUMBERS];
	struct policy_property **properties_tail;
	uint64_t weights[PARSER_NUMBERS];
	bool weighed[PARSER_NUMBERS];
};

/* Reports at a token and marks the line bad; the second error of a line is not reported. False, to
 * be returned. */
__attribute__((format(printf, 3, 4))) bool parser_error(struct policy_parser *parser,
							const struct policy_token *token,
							const char *format, ...);
void parser_advance(struct policy_parser *parser);
bool parser_is(const struct policy_parser *parser, const char *word);
struct policy_place parser_place(const struct policy_parser *parser,
				 const struct policy_token *token);
void *parser_alloc(struct policy_parser *parser,
		   size_t size); /* NULL: out_of_memory is set, the line is bad */
char *parser_copy(struct policy_parser *parser, const struct policy_token *token);

/* What stands there, for messages: "'x'" or "the end of the line". */
const char *parser_found(const struct policy_parser *parser, char buffer[64]);

/* ---- expression.c: each consumes what it read, and returns false after an error ---- */

bool parser_value(struct policy_parser *parser, uint64_t *value);
bool parser_clauses(struct policy_parser *parser, struct policy_clause **out);

/* One filter of a rule; two come of minijail0's "EXPR; return E". */
bool parser_filter(struct policy_parser *parser, bool in_set, struct policy_filter **out);

bool parser_statement(struct policy_parser *parser);
bool parser_property(struct policy_parser *parser); /* what follows "@prove" */
