/* Tokens of a policy, one logical line after the other. */
#pragma once

#include "policy/parse.h"

enum policy_token_kind {
	TOKEN_END, /* of a logical line */
	TOKEN_EOF,
	TOKEN_NAME, /* letters, digits, "_", "-", "@": system calls, constants, words */
	TOKEN_NUMBER,
	TOKEN_AT,   /* "@word" at the start of a line */
	TOKEN_PATH, /* from lex_path() only */
	TOKEN_OPERATOR,
	TOKEN_COLON,
	TOKEN_SEMICOLON,
	TOKEN_COMMA,
	TOKEN_TILDE,
	TOKEN_PIPE,
	TOKEN_AND,
	TOKEN_OR,
	TOKEN_EQUAL,
	TOKEN_OPEN_PAREN,
	TOKEN_CLOSE_PAREN,
	TOKEN_OPEN_BRACE,
	TOKEN_CLOSE_BRACE,
	TOKEN_OPEN_BRACKET,
	TOKEN_CLOSE_BRACKET,
	TOKEN_WRONG, /* lex.wrong says why */
};

struct policy_token {
	enum policy_token_kind kind;
	enum policy_comparison comparison; /* of TOKEN_OPERATOR, but for "in", which is a name */
	const char *text;		   /* into the source */
	size_t length;
	uint32_t line, column;
	bool spaced; /* exactly spaces, one at least, stand before it: minijail0 is strict there */
	bool joined; /* nothing stands before it */
};

struct policy_lex {
	const char *text;
	size_t size, at, line_start;
	uint32_t line;
	enum policy_dialect dialect;
	bool fresh;	   /* no token of this logical line yet */
	bool commented;	   /* the last physical line was a comment, or belongs to a run of them */
	const char *wrong; /* of the last TOKEN_WRONG */
	/* Comments, for reasons: the lines above (until an empty one) and the one beside. Spans of
	 * the source. */
	size_t above, above_end, beside, beside_end;
};

void lex_init(struct policy_lex *lex, const char *text, size_t size, enum policy_dialect dialect);

/* The next token. After TOKEN_END the next logical line begins; TOKEN_EOF repeats. */
struct policy_token lex_next(struct policy_lex *lex);

/* The next run of bytes that are no blanks, as TOKEN_PATH; TOKEN_END when there is none. */
struct policy_token lex_path(struct policy_lex *lex);
