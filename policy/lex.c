/* The lexer: bytes of one hostile text to tokens, in the process that parses. It knows of the
 * dialects what concerns bytes: where a comment may stand, and what a backslash at the end of one
 * does. */
#include "policy/lex.h"

#include <string.h>

void lex_init(struct policy_lex *lex, const char *text, size_t size, enum policy_dialect dialect)
{
	*lex = (struct policy_lex){
		.text = text, .size = size, .line = 1, .dialect = dialect, .fresh = true
	};
}

static int peek(const struct policy_lex *lex, size_t ahead)
{
	return ahead < lex->size - lex->at ? (unsigned char)lex->text[lex->at + ahead] : -1;
}

static bool is_digit(int c)
{
	return c >= '0' && c <= '9';
}

static bool is_letter(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static void next_line(struct policy_lex *lex)
{
	lex->at++;
	lex->line++;
	lex->line_start = lex->at;
}

static struct policy_token token_at(const struct policy_lex *lex, enum policy_token_kind kind,
				    size_t length)
{
	return (struct policy_token){
		.kind = kind,
		.text = lex->text + lex->at,
		.length = length,
		.line = lex->line,
		.column = (uint32_t)(lex->at - lex->line_start) + 1,
	};
}

static struct policy_token wrong(struct policy_lex *lex, size_t length, const char *why)
{
	struct policy_token token = token_at(lex, TOKEN_WRONG, length);

	lex->wrong = why;
	lex->at += length;
	return token;
}

static size_t line_rest(const struct policy_lex *lex)
{
	const char *end = memchr(lex->text + lex->at, '\n', lex->size - lex->at);

	return end ? (size_t)(end - lex->text) - lex->at : lex->size - lex->at;
}

/* A whole line of comment joins those above it; one beside tokens stands alone. */
static void note_comment(struct policy_lex *lex, size_t length)
{
	if (!lex->fresh) {
		lex->beside = lex->at;
		lex->beside_end = lex->at + length;
		return;
	}
	if (!lex->commented)
		lex->above = lex->at;
	lex->above_end = lex->at + length;
	lex->commented = true;
}

/* "# @prove" at the start of a line: a statement in a comment's clothes, so that minijail reads
 * past it. */
static size_t hidden_statement(const struct policy_lex *lex)
{
	static const char word[] = "@prove";
	size_t skip = 1;

	while (peek(lex, skip) == ' ' || peek(lex, skip) == '\t')
		skip++;
	for (size_t i = 0; i < sizeof(word) - 1; i++)
		if (peek(lex, skip + i) != word[i])
			return 0;
	return is_letter(peek(lex, skip + sizeof(word) - 1)) ? 0 : skip;
}

/* At "#". False: it is no comment here, or a wrong one, and *TOKEN says so. */
static bool skip_comment(struct policy_lex *lex, struct policy_token *token)
{
	size_t length = line_rest(lex);

	if (!lex->fresh && lex->dialect == POLICY_DIALECT_MINIJAIL) {
		*token = wrong(lex, length,
			       "minijail0 takes '#' for a comment only at the start of a line");
		return false;
	}
	note_comment(lex, length);
	if (lex->text[lex->at + length - 1] != '\\') {
		lex->at += length;
		return true;
	}
	if (lex->dialect == POLICY_DIALECT_UNSAID) {
		lex->at += length - 1;
		*token = wrong(
			lex, 1,
			"a '\\' that ends a comment hides the next line from minijail0 but not from "
			"minijail's compiler: take it away");
		return false;
	}
	lex->at += length;
	/* minijail0: the comment goes on; the compiler: the line does, with what follows. */
	while (lex->dialect == POLICY_DIALECT_MINIJAIL && lex->at < lex->size) {
		next_line(lex);
		length = line_rest(lex);
		lex->at += length;
		if (!length || lex->text[lex->at - 1] != '\\')
			break;
	}
	if (lex->dialect == POLICY_DIALECT_COMPILER && lex->at < lex->size)
		next_line(lex);
	return true;
}

/* Blanks, comments and continued lines before a token. False: *TOKEN is an error among them. */
static bool skip_blank(struct policy_lex *lex, struct policy_token *token)
{
	while (lex->at < lex->size) {
		int c = peek(lex, 0);

		if (c == ' ' || c == '\t') {
			lex->at++;
		} else if (c == '\\' && peek(lex, 1) == '\n') {
			if (lex->size - lex->at == 2) {
				*token = wrong(lex, 1, "the file ends in a continued line");
				return false;
			}
			lex->at++;
			next_line(lex);
		} else if (c == '#' && !(lex->fresh && hidden_statement(lex))) {
			if (!skip_comment(lex, token))
				return false;
		} else {
			break;
		}
	}
	return true;
}

/* What is neither a name nor a number: the longest first. */
static const struct {
	char text[3];
	unsigned char kind, comparison;
} symbols[] = {
	{ "||", TOKEN_OR, 0 },
	{ "&&", TOKEN_AND, 0 },
	{ "==", TOKEN_OPERATOR, POLICY_EQ },
	{ "!=", TOKEN_OPERATOR, POLICY_NE },
	{ "<=", TOKEN_OPERATOR, POLICY_LE },
	{ ">=", TOKEN_OPERATOR, POLICY_GE },
	{ "<", TOKEN_OPERATOR, POLICY_LT },
	{ ">", TOKEN_OPERATOR, POLICY_GT },
	{ "&", TOKEN_OPERATOR, POLICY_ANY },
	{ "|", TOKEN_PIPE, 0 },
	{ "=", TOKEN_EQUAL, 0 },
	{ ":", TOKEN_COLON, 0 },
	{ ";", TOKEN_SEMICOLON, 0 },
	{ ",", TOKEN_COMMA, 0 },
	{ "~", TOKEN_TILDE, 0 },
	{ "(", TOKEN_OPEN_PAREN, 0 },
	{ ")", TOKEN_CLOSE_PAREN, 0 },
	{ "{", TOKEN_OPEN_BRACE, 0 },
	{ "}", TOKEN_CLOSE_BRACE, 0 },
	{ "[", TOKEN_OPEN_BRACKET, 0 },
	{ "]", TOKEN_CLOSE_BRACKET, 0 },
};

static struct policy_token lex_symbol(struct policy_lex *lex)
{
	int c = peek(lex, 0);

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		size_t length = strlen(symbols[i].text);
		struct policy_token token;

		if (c != symbols[i].text[0] || (length == 2 && peek(lex, 1) != symbols[i].text[1]))
			continue;
		token = token_at(lex, symbols[i].kind, length);
		token.comparison = symbols[i].comparison;
		lex->at += length;
		return token;
	}
	if (c == '\r')
		return wrong(lex, 1, "carriage return: lines end in a line feed alone");
	if (c == '\0')
		return wrong(lex, 1, "NUL byte");
	if (c == '\\')
		return wrong(lex, 1,
			     lex->size - lex->at == 1
				     ? "the file ends in a continued line"
				     : "'\\' continues a line only as its very last character");
	if (c == '!')
		return wrong(lex, 1,
			     "'!' is no operator: the comparisons are == != < <= > >= & in");
	return wrong(lex, 1, "no token of this language begins so");
}

static struct policy_token lex_word(struct policy_lex *lex)
{
	int c = peek(lex, 0);
	bool signed_number = (c == '-' || c == '+') && is_digit(peek(lex, 1));
	enum policy_token_kind kind;
	struct policy_token token;
	size_t length = 1;

	if (is_digit(c) || signed_number) {
		while (is_digit(peek(lex, length)) || is_letter(peek(lex, length)))
			length++;
		kind = TOKEN_NUMBER;
	} else if (is_letter(c) || (c == '@' && is_letter(peek(lex, 1)))) {
		for (int d = peek(lex, 1); is_letter(d) || is_digit(d) || d == '-' || d == '@';
		     d = peek(lex, length))
			length++;
		kind = c == '@' ? TOKEN_AT : TOKEN_NAME;
	} else {
		return lex_symbol(lex);
	}
	token = token_at(lex, kind, length);
	lex->at += length;
	return token;
}

static struct policy_token lex_end(struct policy_lex *lex)
{
	struct policy_token token = token_at(lex, lex->at < lex->size ? TOKEN_END : TOKEN_EOF, 0);

	if (token.kind == TOKEN_EOF && !lex->fresh)
		token.kind = TOKEN_END;
	if (lex->at < lex->size) {
		/* An empty line, or one of tokens: comments above do not reach past it (a rule
		 * takes them first). */
		if (lex->fresh && lex->text[lex->at] == '\n' && line_rest(lex) == 0) {
			size_t start = lex->line_start;

			while (start < lex->at &&
			       (lex->text[start] == ' ' || lex->text[start] == '\t'))
				start++;
			if (start == lex->at)
				lex->above = lex->above_end = 0;
			lex->commented = start != lex->at;
		} else {
			lex->commented = false;
		}
		next_line(lex);
	}
	lex->fresh = true;
	return token;
}

/* What minijail0 insists on between the parts of a comparison. */
static void judge_gap(const struct policy_lex *lex, size_t before, struct policy_token *token)
{
	size_t at = (size_t)(token->text - lex->text);

	token->joined = before == at;
	token->spaced = before < at;
	for (size_t i = before; i < at; i++)
		if (lex->text[i] == '\t')
			token->spaced = false;
}

struct policy_token lex_next(struct policy_lex *lex)
{
	struct policy_token token;
	size_t before = lex->at;

	if (lex->fresh)
		lex->beside = lex->beside_end = 0;
	if (!skip_blank(lex, &token)) {
		lex->fresh = false;
		return token;
	}
	if (lex->at >= lex->size || peek(lex, 0) == '\n')
		return lex_end(lex);
	if (lex->fresh && peek(lex, 0) == '#')
		lex->at += hidden_statement(lex);
	lex->fresh = false;
	token = lex_word(lex);
	judge_gap(lex, before, &token);
	return token;
}

struct policy_token lex_path(struct policy_lex *lex)
{
	struct policy_token token;
	size_t length = 0;
	int c;

	if (!skip_blank(lex, &token))
		return token;
	for (c = peek(lex, 0); c > ' ' && c != 0x7f; c = peek(lex, length))
		length++;
	if (!length)
		return lex_next(lex);
	if (lex->text[lex->at + length - 1] == '\\' && (c == '\n' || c < 0) && !--length)
		return lex_next(lex);
	token = token_at(lex, TOKEN_PATH, length);
	lex->at += length;
	return token;
}
