/* lex: tokens with their places; continued lines, comments and what they are comments to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "policy/lex.h"

#define TOKENS 16

static const struct {
	const char *text;
	enum policy_token_kind kinds[TOKENS]; /* up to TOKEN_EOF */
} rows[] = {
	{ "", { TOKEN_EOF } },
	{ "\n", { TOKEN_END, TOKEN_EOF } },
	{ "read: 1", { TOKEN_NAME, TOKEN_COLON, TOKEN_NUMBER, TOKEN_END, TOKEN_EOF } },
	{ "read: 1\n", { TOKEN_NAME, TOKEN_COLON, TOKEN_NUMBER, TOKEN_END, TOKEN_EOF } },
	{ "# x\n\n", { TOKEN_END, TOKEN_END, TOKEN_EOF } },
	{ "a # x", { TOKEN_NAME, TOKEN_END, TOKEN_EOF } },
	{ "a \\\n b", { TOKEN_NAME, TOKEN_NAME, TOKEN_END, TOKEN_EOF } },
	{ "||&&|&", { TOKEN_OR, TOKEN_AND, TOKEN_PIPE, TOKEN_OPERATOR, TOKEN_END, TOKEN_EOF } },
	{ "== != <= >= < > =",
	  { TOKEN_OPERATOR, TOKEN_OPERATOR, TOKEN_OPERATOR, TOKEN_OPERATOR, TOKEN_OPERATOR,
	    TOKEN_OPERATOR, TOKEN_EQUAL, TOKEN_END, TOKEN_EOF } },
	{ "(){}[];,~",
	  { TOKEN_OPEN_PAREN, TOKEN_CLOSE_PAREN, TOKEN_OPEN_BRACE, TOKEN_CLOSE_BRACE,
	    TOKEN_OPEN_BRACKET, TOKEN_CLOSE_BRACKET, TOKEN_SEMICOLON, TOKEN_COMMA, TOKEN_TILDE,
	    TOKEN_END, TOKEN_EOF } },
	{ "-5 +5 0x1f kill-process a@b @include",
	  { TOKEN_NUMBER, TOKEN_NUMBER, TOKEN_NUMBER, TOKEN_NAME, TOKEN_NAME, TOKEN_AT, TOKEN_END,
	    TOKEN_EOF } },
	{ "# @prove x", { TOKEN_AT, TOKEN_NAME, TOKEN_END, TOKEN_EOF } },
	{ "# @proven x", { TOKEN_END, TOKEN_EOF } },
	{ "a # @prove x", { TOKEN_NAME, TOKEN_END, TOKEN_EOF } },
	{ "!", { TOKEN_WRONG, TOKEN_END, TOKEN_EOF } },
	{ "\r", { TOKEN_WRONG, TOKEN_END, TOKEN_EOF } },
	{ "a\\", { TOKEN_NAME, TOKEN_WRONG, TOKEN_END, TOKEN_EOF } },
	{ "\xff", { TOKEN_WRONG, TOKEN_END, TOKEN_EOF } },
};

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct policy_lex lex;

		lex_init(&lex, rows[i].text, strlen(rows[i].text), POLICY_DIALECT_UNSAID);
		for (size_t n = 0;; n++) {
			struct policy_token token = lex_next(&lex);

			/* A comment alone ends a line that the last byte does not. */
			if (token.kind != rows[i].kinds[n] &&
			    !(token.kind == TOKEN_EOF && rows[i].kinds[n] == TOKEN_END))
				fail_msg("'%s', token %zu: %d", rows[i].text, n, token.kind);
			if (token.kind == TOKEN_EOF)
				break;
		}
	}
}

static void test_places(void **state)
{
	static const char text[] = "a: b\n\n  c \\\n\td # e\nf";
	static const uint32_t places[][2] = { { 1, 1 }, { 1, 2 }, { 1, 4 },
					      { 3, 3 }, { 4, 2 }, { 5, 1 } };
	struct policy_lex lex;
	size_t n = 0;

	(void)state;
	lex_init(&lex, text, sizeof(text) - 1, POLICY_DIALECT_UNSAID);
	for (struct policy_token t = lex_next(&lex); t.kind != TOKEN_EOF; t = lex_next(&lex)) {
		if (t.kind == TOKEN_END)
			continue;
		assert_int_equal(t.line, places[n][0]);
		assert_int_equal(t.column, places[n][1]);
		n++;
	}
	assert_int_equal(n, 6);
}

static void test_path(void **state)
{
	static const char text[] = "@include ./a-b,c.policy # x\n";
	struct policy_lex lex;
	struct policy_token token;

	(void)state;
	lex_init(&lex, text, sizeof(text) - 1, POLICY_DIALECT_UNSAID);
	lex_next(&lex);
	token = lex_path(&lex);
	assert_int_equal(token.kind, TOKEN_PATH);
	assert_int_equal(token.length, strlen("./a-b,c.policy"));
	assert_int_equal(lex_next(&lex).kind, TOKEN_END);
}

static void test_gaps(void **state)
{
	static const char text[] = "a b\tc d";
	struct policy_lex lex;

	(void)state;
	lex_init(&lex, text, sizeof(text) - 1, POLICY_DIALECT_UNSAID);
	assert_true(lex_next(&lex).joined);
	assert_true(lex_next(&lex).spaced);
	assert_false(lex_next(&lex).spaced);
	assert_true(lex_next(&lex).spaced);
}

/* A comment that ends in a backslash. */
static void test_swallowed(void **state)
{
	static const char text[] = "# x \\\na\nb";
	static const enum policy_token_kind first[] = { TOKEN_WRONG, TOKEN_END, TOKEN_NAME };
	struct policy_lex lex;

	(void)state;
	for (int dialect = 0; dialect < 3; dialect++) {
		lex_init(&lex, text, sizeof(text) - 1, (enum policy_dialect)dialect);
		assert_int_equal(lex_next(&lex).kind, first[dialect]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),	  cmocka_unit_test(test_places),
		cmocka_unit_test(test_path),	  cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_swallowed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
