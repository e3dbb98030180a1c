/* "@prove": what an author promises of a policy, to be proven over all arguments by whoever
 *compiles it. It is written in a comment, so that minijail reads past it:
 *
 *	# @prove never CALL, ... [: EXPR]	such a call is never let through
 *	# @prove only CALL, ... : EXPR		the call is let through with such arguments only
 *	# @prove always CALL, ... [: EXPR]	such a call is always allowed
 *	# @prove NAME				one of the named properties below
 */
#include "policy/parser.h"

#include <stdio.h>
#include <string.h>

#include "policy/names.h"

#define CALLS 64

/* Each named property is a list of "never" lines. Calls that an architecture does not have cannot
 * be made there. */
static const struct {
	const char *name, *call, *expression;
} named[] = {
	/* No page becomes executable that was not so at the start, and no program is started. */
	{ "no-executable-memory", "mmap", "arg2 & PROT_EXEC" },
	{ "no-executable-memory", "mprotect", "arg2 & PROT_EXEC" },
	{ "no-executable-memory", "pkey_mprotect", "arg2 & PROT_EXEC" },
	{ "no-executable-memory", "shmat", "arg2 & 0100000" }, /* SHM_EXEC */
	{ "no-executable-memory", "personality",
	  "arg0 & 0x400000 && arg0 != 0xffffffff" }, /* READ_IMPLIES_EXEC */
	{ "no-executable-memory", "uselib", "" },
	{ "no-executable-memory", "map_shadow_stack", "" },
	{ "no-executable-memory", "execve", "" },
	{ "no-executable-memory", "execveat", "" },
	/* No file is opened by a name or a handle. */
	{ "no-open", "open", "" },
	{ "no-open", "openat", "" },
	{ "no-open", "openat2", "" },
	{ "no-open", "creat", "" },
	{ "no-open", "open_by_handle_at", "" },
	{ "no-open", "open_tree", "" },
	{ "no-open", "open_tree_attr", "" },
	{ "no-open", "mq_open", "" },
	{ "no-open", "fspick", "" },
	{ "no-open", "fanotify_mark", "" },
	{ "no-open", "inotify_add_watch", "" },
	{ "no-open", "execve", "" },
	{ "no-open", "execveat", "" },
	{ "no-open", "uselib", "" },
	/* No thread or process is made. */
	{ "no-new-process", "fork", "" },
	{ "no-new-process", "vfork", "" },
	{ "no-new-process", "clone", "" },
	{ "no-new-process", "clone3", "" },
	/* No socket is made, and none is sent to a peer that was not there before. */
	{ "no-new-socket", "socket", "" },
	{ "no-new-socket", "socketpair", "" },
	{ "no-new-socket", "accept", "" },
	{ "no-new-socket", "accept4", "" },
	{ "no-new-socket", "connect", "" },
	{ "no-new-socket", "bind", "" },
	{ "no-new-socket", "listen", "" },
	{ "no-new-socket", "io_uring_setup", "" },
};

static bool add_property(struct policy_parser *parser, enum policy_claim claim, const char *text,
			 const char *name, struct policy_clause *clauses,
			 const struct policy_token *at)
{
	struct policy_property *property;
	int number = policy_syscall_number(parser->options->arch, name);

	/* A call that the architecture does not have can be made by nobody. */
	if (number < 0)
		return true;
	property = parser_alloc(parser, sizeof(*property));
	if (!property)
		return false;
	*property = (struct policy_property){
		.place = parser_place(parser, at),
		.claim = claim,
		.text = text,
		.name = policy_syscall_name(parser->options->arch, (uint32_t)number),
		.number = (uint32_t)number,
		.clauses = clauses,
	};
	*parser->properties_tail = property;
	parser->properties_tail = &property->next;
	return true;
}

/* The expressions of the table are this program's own text, read by the same parser. */
static bool table_clauses(struct policy_parser *parser, const char *expression,
			  struct policy_clause **out)
{
	struct policy_lex *outer = parser->lex, lex;
	struct policy_token token = parser->token;
	bool ok;

	*out = NULL;
	if (!*expression)
		return true;
	lex_init(&lex, expression, strlen(expression), POLICY_DIALECT_UNSAID);
	parser->lex = &lex;
	parser_advance(parser);
	ok = parser_clauses(parser, out);
	parser->lex = outer;
	parser->token = token;
	return ok;
}

static bool parse_named(struct policy_parser *parser, const char *text)
{
	const struct policy_token token = parser->token;
	bool known = false;

	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		struct policy_clause *clauses;

		if (!parser_is(parser, named[i].name))
			continue;
		known = true;
		if (!table_clauses(parser, named[i].expression, &clauses) ||
		    !add_property(parser, POLICY_NEVER, text, named[i].call, clauses, &token))
			return false;
	}
	if (!known)
		return parser_error(
			parser, &token,
			"unknown property '%.*s': never, only, always, no-executable-memory, no-open, "
			"no-new-process and no-new-socket are known",
			(int)token.length, token.text);
	parser_advance(parser);
	return true;
}

static bool parse_names(struct policy_parser *parser, struct policy_token names[CALLS],
			size_t *count)
{
	char found[64];

	for (*count = 0;; parser_advance(parser)) {
		char name[64];

		if (parser->token.kind != TOKEN_NAME)
			return parser_error(parser, &parser->token,
					    "the name of a system call should stand here, not %s",
					    parser_found(parser, found));
		if (*count == CALLS)
			return parser_error(parser, &parser->token,
					    "more than %d system calls in one property", CALLS);
		snprintf(name, sizeof(name), "%.*s", (int)(parser->token.length & 63),
			 parser->token.text);
		for (int arch = 0, seen = 0;; arch++) {
			if (arch == POLICY_ARCHES && !seen)
				return parser_error(parser, &parser->token,
						    "unknown system call '%s'", name);
			if (arch == POLICY_ARCHES)
				break;
			seen |= policy_syscall_number((enum policy_arch)arch, name) >= 0;
		}
		names[(*count)++] = parser->token;
		parser_advance(parser);
		if (parser->token.kind != TOKEN_COMMA)
			return true;
	}
}

static const char *property_text(struct policy_parser *parser, const struct policy_token *from)
{
	const struct policy_lex *lex = parser->lex;
	const char *end = memchr(from->text, '\n', lex->size - (size_t)(from->text - lex->text));
	size_t length =
		end ? (size_t)(end - from->text) : lex->size - (size_t)(from->text - lex->text);
	char *text = parser_alloc(parser, length + 1);

	for (size_t i = 0; text && i < length; i++)
		text[i] = (from->text[i] >= ' ' && from->text[i] < 0x7f) ? from->text[i] : ' ';
	return text;
}

bool parser_property(struct policy_parser *parser)
{
	struct policy_clause *clauses = NULL;
	struct policy_token names[CALLS], first;
	enum policy_claim claim;
	size_t count;
	const char *text;
	char name[64], found[64];

	parser_advance(parser);
	first = parser->token;
	if (first.kind != TOKEN_NAME)
		return parser_error(parser, &first, "a property should follow, not %s",
				    parser_found(parser, found));
	text = property_text(parser, &first);
	if (!text)
		return false;
	claim = parser_is(parser, "never")  ? POLICY_NEVER
		: parser_is(parser, "only") ? POLICY_ONLY
					    : POLICY_ALWAYS;
	if (claim == POLICY_ALWAYS && !parser_is(parser, "always")) {
		if (!parse_named(parser, text))
			return false;
	} else {
		parser_advance(parser);
		if (!parse_names(parser, names, &count))
			return false;
		if (parser->token.kind == TOKEN_COLON) {
			parser_advance(parser);
			if (!parser_clauses(parser, &clauses))
				return false;
		} else if (claim == POLICY_ONLY) {
			return parser_error(parser, &parser->token, "'only' needs ': EXPR'");
		}
		for (size_t i = 0; i < count; i++) {
			snprintf(name, sizeof(name), "%.*s", (int)names[i].length, names[i].text);
			if (!add_property(parser, claim, text, name, clauses, &names[i]))
				return false;
		}
	}
	if (parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token, "the property ends before %s",
				    parser_found(parser, found));
	return true;
}
