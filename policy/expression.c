/* The right-hand side of a rule: values, comparisons, clauses, actions. Grammar, in the compiler's
 *dialect (minijail0's is the subset that its own messages describe):
 *
 *	filter = action | clauses [ ";" action ]
 *	clauses = clause { "||" clause }	clause = atom { "&&" atom }	atom = "arg"N
 *comparison value
 *	value = term { "|" term }		term = [ "~" ] ( "(" value ")" | NAME | NUMBER )
 *	action = "1" | "allow" | "kill" | "kill-process" | ... | "return" value
 */
#include "policy/parser.h"

#include <stdio.h>
#include <string.h>

#include "policy/names.h"

#define NESTING 32 /* parentheses */

static bool strict(const struct policy_parser *parser)
{
	return parser->options->dialect == POLICY_DIALECT_MINIJAIL;
}

/* ---- values
 * ----------------------------------------------------------------------------------------------------------
 */

static int digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

static bool parse_number(struct policy_parser *parser, uint64_t *value)
{
	const struct policy_token token = parser->token;
	const char *at = token.text, *end = at + token.length;
	bool negative = *at == '-';
	uint64_t sum = 0;
	int base = 10;

	if (*at == '+' && parser->options->dialect == POLICY_DIALECT_COMPILER)
		return parser_error(parser, &token,
				    "minijail's compiler knows no '+' before a number");
	if (*at == '-' || *at == '+')
		at++;
	if (end - at > 2 && at[0] == '0' && (at[1] == 'x' || at[1] == 'X')) {
		base = 16;
		at += 2;
	} else if (end - at > 1 && at[0] == '0') {
		base = 8;
		at++;
	}
	for (; at < end; at++) {
		int digit = digit_value(*at);

		if (digit >= base)
			return parser_error(parser, &token,
					    "'%.*s' is no number: '%c' is no digit of base %d",
					    (int)token.length, token.text, *at, base);
		if (__builtin_mul_overflow(sum, (uint64_t)base, &sum) ||
		    __builtin_add_overflow(sum, (uint64_t)digit, &sum))
			return parser_error(parser, &token, "'%.*s' does not fit 64 bits",
					    (int)token.length, token.text);
	}
	if (negative && sum > (uint64_t)1 << 63)
		return parser_error(parser, &token, "'%.*s' is below -2^63", (int)token.length,
				    token.text);
	*value = negative ? 0 - sum : sum;
	parser_advance(parser);
	return true;
}

static bool parse_constant(struct policy_parser *parser, uint64_t *value)
{
	const struct policy_token token = parser->token;
	char name[64];

	if (token.length < sizeof(name)) {
		memcpy(name, token.text, token.length);
		name[token.length] = '\0';
		if (policy_constant(parser->options->arch, name, value) == 0) {
			parser_advance(parser);
			return true;
		}
	}
	return parser_error(parser, &token, "unknown constant '%.*s' on %s", (int)token.length,
			    token.text, policy_arch_name(parser->options->arch));
}

static bool parse_value(struct policy_parser *parser, uint64_t *value, unsigned depth);

static bool parse_term(struct policy_parser *parser, uint64_t *value, unsigned depth)
{
	bool complement = parser->token.kind == TOKEN_TILDE;
	char found[64];

	if (complement) {
		parser_advance(parser);
		if (parser->token.kind == TOKEN_TILDE)
			return parser_error(parser, &parser->token,
					    "'~~' is no value: the two cancel out");
	}
	if (parser->token.kind == TOKEN_OPEN_PAREN) {
		const struct policy_token open = parser->token;

		if (depth == NESTING)
			return parser_error(parser, &open,
					    "more than %d parentheses within each other", NESTING);
		parser_advance(parser);
		if (!parse_value(parser, value, depth + 1))
			return false;
		if (parser->token.kind != TOKEN_CLOSE_PAREN)
			return parser_error(parser, &open,
					    "unclosed '(': found %s where ')' should be",
					    parser_found(parser, found));
		parser_advance(parser);
	} else if (parser->token.kind == TOKEN_NUMBER) {
		if (!parse_number(parser, value))
			return false;
	} else if (parser->token.kind == TOKEN_NAME) {
		if (!parse_constant(parser, value))
			return false;
	} else {
		return parser_error(parser, &parser->token, "a value should stand here, not %s",
				    parser_found(parser, found));
	}
	if (complement)
		*value = ~*value;
	return true;
}

static bool parse_value(struct policy_parser *parser, uint64_t *value, unsigned depth)
{
	uint64_t term = 0, sum = 0;
	bool first = true;

	for (;; first = false) {
		if (strict(parser) && !first && !parser->token.joined)
			return parser_error(parser, &parser->token,
					    "minijail0 takes no blank within a value");
		if (!parse_term(parser, &term, depth))
			return false;
		sum |= term;
		if (parser->token.kind != TOKEN_PIPE)
			break;
		if (strict(parser) && !parser->token.joined)
			return parser_error(parser, &parser->token,
					    "minijail0 takes no blank within a value");
		parser_advance(parser);
	}
	*value = sum;
	return true;
}

bool parser_value(struct policy_parser *parser, uint64_t *value)
{
	return parse_value(parser, value, 0);
}

/* ---- expressions
 * ------------------------------------------------------------------------------------------------------
 */

static bool is_argument(const struct policy_token *token)
{
	return token->kind == TOKEN_NAME && token->length >= 3 && !memcmp(token->text, "arg", 3) &&
	       (token->length == 3 || (token->text[3] >= '0' && token->text[3] <= '9') ||
		token->text[3] == '-');
}

static bool parse_argument(struct policy_parser *parser, uint8_t *argument)
{
	const struct policy_token token = parser->token;
	char found[64];

	if (!is_argument(&token))
		return parser_error(parser, &token, "a comparison begins with arg0 to arg5, not %s",
				    parser_found(parser, found));
	if (token.length != 4 || token.text[3] < '0' || token.text[3] > '5')
		return parser_error(parser, &token,
				    "no argument '%.*s': system calls have arg0 to arg5",
				    (int)token.length, token.text);
	*argument = (uint8_t)(token.text[3] - '0');
	parser_advance(parser);
	return true;
}

static bool parse_comparison(struct policy_parser *parser, enum policy_comparison *comparison)
{
	char found[64];

	if (parser->token.kind == TOKEN_OPERATOR)
		*comparison = parser->token.comparison;
	else if (parser_is(parser, "in"))
		*comparison = POLICY_IN;
	else if (parser->token.kind == TOKEN_EQUAL)
		return parser_error(parser, &parser->token, "'=' is no comparison: '==' is");
	else
		return parser_error(parser, &parser->token,
				    "a comparison (== != < <= > >= & in) should stand here, not %s",
				    parser_found(parser, found));
	if (strict(parser) && !parser->token.spaced)
		return parser_error(parser, &parser->token,
				    "minijail0 wants spaces around a comparison");
	parser_advance(parser);
	return true;
}

static bool parse_atom(struct policy_parser *parser, struct policy_atom **out)
{
	struct policy_atom *atom = parser_alloc(parser, sizeof(*atom));

	if (!atom)
		return false;
	atom->place = parser_place(parser, &parser->token);
	if (!parse_argument(parser, &atom->argument) ||
	    !parse_comparison(parser, &atom->comparison))
		return false;
	if (strict(parser) && !parser->token.spaced && parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token,
				    "minijail0 wants spaces around a comparison");
	if (!parser_value(parser, &atom->value))
		return false;
	*out = atom;
	return true;
}

static bool parse_clause(struct policy_parser *parser, struct policy_clause **out)
{
	struct policy_clause *clause = parser_alloc(parser, sizeof(*clause));
	struct policy_atom **tail = clause ? &clause->atoms : NULL;

	if (!clause)
		return false;
	for (;;) {
		if (!parse_atom(parser, tail))
			return false;
		tail = &(*tail)->next;
		if (parser->token.kind != TOKEN_AND)
			break;
		parser_advance(parser);
	}
	*out = clause;
	return true;
}

bool parser_clauses(struct policy_parser *parser, struct policy_clause **out)
{
	struct policy_clause **tail = out;

	*out = NULL;
	for (;;) {
		if (!parse_clause(parser, tail))
			return false;
		tail = &(*tail)->next;
		if (parser->token.kind != TOKEN_OR)
			return true;
		parser_advance(parser);
	}
}

/* ---- actions
 * ----------------------------------------------------------------------------------------------------------
 */

static bool parse_return(struct policy_parser *parser, struct policy_action *action)
{
	const struct policy_token word = parser->token;
	struct policy_token first;
	uint64_t value = 0;

	parser_advance(parser);
	first = parser->token;
	if (first.kind == TOKEN_END || first.kind == TOKEN_SEMICOLON || first.kind == TOKEN_COMMA ||
	    first.kind == TOKEN_CLOSE_BRACE)
		return parser_error(
			parser, &word,
			"'return' needs an errno: minijail0 alone takes it for the default");
	if (parser->options->dialect == POLICY_DIALECT_COMPILER && first.kind != TOKEN_NAME &&
	    first.kind != TOKEN_NUMBER)
		return parser_error(parser, &first,
				    "minijail's compiler takes one constant after 'return'");
	if (!parser_value(parser, &value))
		return false;
	if (parser->options->dialect == POLICY_DIALECT_COMPILER &&
	    first.text + first.length < parser->token.text &&
	    memchr(first.text, '|', (size_t)(parser->token.text - first.text)))
		return parser_error(parser, &first,
				    "minijail's compiler takes one constant after 'return'");
	if (value > 4095)
		return parser_error(parser, &first, "an errno is 0 to 4095");
	*action = (struct policy_action){ POLICY_ERRNO, (uint16_t)value };
	return true;
}

static const struct {
	const char *word;
	enum policy_verdict verdict;
} actions[] = {
	{ "allow", POLICY_ALLOW },
	{ "kill", POLICY_KILL_THREAD }, /* as minijail without --use-kill-process */
	{ "kill-process", POLICY_KILL_PROCESS },
	{ "kill-thread", POLICY_KILL_THREAD },
	{ "trap", POLICY_TRAP },
	{ "trace", POLICY_TRACE },
	{ "log", POLICY_LOG },
	{ "user-notify", POLICY_NOTIFY },
};

static bool parse_action(struct policy_parser *parser, struct policy_action *action)
{
	const struct policy_token token = parser->token;
	char found[64];

	if (parser_is(parser, "return"))
		return parse_return(parser, action);
	if (parser->options->denylist)
		return parser_error(parser, &token, "a rule of a denylist ends in 'return ERRNO'");
	if (token.kind == TOKEN_NUMBER) {
		uint64_t value = 0;

		if (!parse_number(parser, &value))
			return false;
		if (value != 1 ||
		    (token.length != 1 && parser->options->dialect != POLICY_DIALECT_COMPILER))
			return parser_error(parser, &token, "'%.*s' is no action: 1 allows",
					    (int)token.length, token.text);
		*action = (struct policy_action){ POLICY_ALLOW, 0 };
		return true;
	}
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (!parser_is(parser, actions[i].word))
			continue;
		if (strict(parser))
			return parser_error(
				parser, &token,
				"minijail0 knows the actions '1' and 'return ERRNO' only");
		*action = (struct policy_action){ actions[i].verdict, 0 };
		parser_advance(parser);
		return true;
	}
	return parser_error(parser, &token, "an action or a comparison should stand here, not %s",
			    parser_found(parser, found));
}

/* "EXPR; return E", where the two dialects part. */
static bool parse_contested(struct policy_parser *parser, struct policy_filter *filter,
			    const struct policy_token *semicolon)
{
	struct policy_filter *otherwise;

	if (parser->options->denylist || parser->options->dialect == POLICY_DIALECT_COMPILER)
		return true;
	if (parser->options->dialect == POLICY_DIALECT_UNSAID)
		return parser_error(
			parser, semicolon,
			"'EXPR; return E' allows where EXPR is true to minijail0, and denies there to "
			"minijail's compiler: say which with --dialect=minijail0 or --dialect=compiler");
	otherwise = parser_alloc(parser, sizeof(*otherwise));
	if (!otherwise)
		return false;
	otherwise->place = filter->place;
	otherwise->action = filter->action;
	filter->action = (struct policy_action){ POLICY_ALLOW, 0 };
	filter->next = otherwise;
	return true;
}

bool parser_filter(struct policy_parser *parser, bool in_set, struct policy_filter **out)
{
	struct policy_filter *filter = parser_alloc(parser, sizeof(*filter));
	struct policy_token semicolon;

	if (!filter)
		return false;
	filter->place = parser_place(parser, &parser->token);
	*out = filter;
	if (in_set && strict(parser))
		return parser_error(parser, &parser->token, "minijail0 knows no sets of filters");
	if (!is_argument(&parser->token))
		return parse_action(parser, &filter->action);
	if (!parser_clauses(parser, &filter->clauses))
		return false;
	filter->action = (struct policy_action){ POLICY_ALLOW, 0 };
	semicolon = parser->token;
	if (semicolon.kind != TOKEN_SEMICOLON)
		return !parser->options->denylist ||
		       parser_error(parser, &semicolon,
				    "a rule of a denylist ends in '; return ERRNO'");
	parser_advance(parser);
	if (parser->token.kind == TOKEN_END)
		return parser_error(parser, &semicolon, "an action should follow ';'");
	if (!parse_action(parser, &filter->action))
		return false;
	return filter->action.verdict != POLICY_ERRNO ||
	       parse_contested(parser, filter, &semicolon);
}
