/* The lines of a policy: rules, and the words that begin with "@". A file is read in place where
 *another includes it.
 *
 *	statement = "@include" path | "@frequency" path | "@default" action | "@denylist" | "#
 *@prove" property | rule rule = calls ":" filters	calls = call | "{" call { "," call } "}"
 *call = NAME [ "[" metadata "]" ] filters = filter | "{" filter { "," filter } "}"
 */
#include "policy/parser.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/names.h"

#define DEPTH	     9	 /* files within each other */
#define CALLS	     256 /* of one rule */
#define WEIGHT_LIMIT (1ull << 48)

/* ---- calls
 * ------------------------------------------------------------------------------------------------------------
 */

struct calls {
	struct {
		struct policy_token token;
		uint32_t number;
	} at[CALLS];
	size_t count;
	bool elsewhere; /* one was dropped: it belongs to another architecture */
};

/* minijail's own list (gen_arch, tools/arch.py): a name outside it is a slip, and would drop the
 * rule in silence. */
static const char *const known_archs[] = { "arm",   "arm64", "aarch64", "mips",	   "mips64",
					   "ppc",   "ppc64", "riscv32", "riscv64", "s390",
					   "s390x", "x86",   "x86_64" };

static bool token_is(const struct policy_token *token, const char *word)
{
	return token->length == strlen(word) && !memcmp(token->text, word, token->length);
}

static bool parse_arch(struct policy_parser *parser, bool *here)
{
	const char *own = policy_arch_name(parser->options->arch);
	const struct policy_token *token = &parser->token;

	for (size_t i = 0; i < sizeof(known_archs) / sizeof(known_archs[0]); i++) {
		if (!token_is(token, known_archs[i]))
			continue;
		if (!strcmp(known_archs[i], own) ||
		    (parser->options->arch == POLICY_AARCH64 && !strcmp(known_archs[i], "arm64")))
			*here = true;
		return true;
	}
	return parser_error(parser, token,
			    "unknown architecture '%.*s': x86_64, arm64 and riscv64 are known here",
			    (int)token->length, token->text);
}

static bool expect(struct policy_parser *parser, enum policy_token_kind kind, const char *what)
{
	char found[64];

	if (parser->token.kind != kind)
		return parser_error(parser, &parser->token, "%s should stand here, not %s", what,
				    parser_found(parser, found));
	parser_advance(parser);
	return true;
}

/* One "key=id,id" of "[...]". */
static bool parse_pair(struct policy_parser *parser, bool *arch_said, bool *here)
{
	bool is_arch = parser_is(parser, "arch");
	char found[64];

	if (parser->token.kind != TOKEN_NAME)
		return parser_error(parser, &parser->token, "a key should stand here, not %s",
				    parser_found(parser, found));
	if (is_arch && *arch_said)
		return parser_error(parser, &parser->token, "'arch' is said twice");
	*arch_said |= is_arch;
	parser_advance(parser);
	if (!expect(parser, TOKEN_EQUAL, "'='"))
		return false;
	for (;;) {
		if (parser->token.kind != TOKEN_NAME)
			return parser_error(parser, &parser->token,
					    "a value of the key should stand here, not %s",
					    parser_found(parser, found));
		if (is_arch && !parse_arch(parser, here))
			return false;
		parser_advance(parser);
		if (parser->token.kind != TOKEN_COMMA)
			return true;
		parser_advance(parser);
	}
}

/* Keys other than "arch" are read and mean nothing, as in minijail; no key may stand twice. */
static bool parse_metadata(struct policy_parser *parser, bool *here)
{
	const struct policy_token open = parser->token;
	struct policy_token keys[16];
	bool arch_said = false, arch_here = false;
	char found[64];

	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL)
		return parser_error(parser, &open,
				    "minijail0 knows no '[...]' after a system call");
	parser_advance(parser);
	for (size_t n = 0;; n++) {
		if (n == sizeof(keys) / sizeof(keys[0]))
			return parser_error(parser, &parser->token, "more than 16 keys");
		keys[n] = parser->token;
		for (size_t i = 0; i < n; i++)
			if (keys[i].length == keys[n].length &&
			    !memcmp(keys[i].text, keys[n].text, keys[n].length))
				return parser_error(parser, &keys[n], "key '%.*s' is said twice",
						    (int)keys[n].length, keys[n].text);
		if (!parse_pair(parser, &arch_said, &arch_here))
			return false;
		if (parser->token.kind != TOKEN_SEMICOLON)
			break;
		parser_advance(parser);
	}
	if (parser->token.kind != TOKEN_CLOSE_BRACKET)
		return parser_error(parser, &open, "unclosed '[': found %s where ']' should be",
				    parser_found(parser, found));
	parser_advance(parser);
	*here = !arch_said || arch_here;
	return true;
}

static bool call_number(struct policy_parser *parser, const struct policy_token *token,
			uint32_t *number)
{
	const char *arch = policy_arch_name(parser->options->arch);
	char name[64];
	int found = -ENOENT;

	if (memchr(token->text, '@', token->length))
		return parser_error(parser, token, "no group of system calls '%.*s' is known here",
				    (int)token->length, token->text);
	if (token->length < sizeof(name)) {
		memcpy(name, token->text, token->length);
		name[token->length] = '\0';
		found = policy_syscall_number(parser->options->arch, name);
	}
	if (found < 0 || found >= PARSER_NUMBERS)
		return parser_error(parser, token, "unknown system call '%.*s' on %s",
				    (int)token->length, token->text, arch);
	*number = (uint32_t)found;
	return true;
}

static bool parse_call(struct policy_parser *parser, struct calls *calls)
{
	const struct policy_token token = parser->token;
	bool here = true;
	char found[64];

	if (token.kind == TOKEN_NUMBER)
		return parser_error(parser, &token,
				    "a system call is given by name, not by number '%.*s'",
				    (int)token.length, token.text);
	if (token.kind != TOKEN_NAME)
		return parser_error(parser, &token,
				    "the name of a system call should stand here, not %s",
				    parser_found(parser, found));
	if (calls->count == CALLS)
		return parser_error(parser, &token, "more than %d system calls in one rule", CALLS);
	parser_advance(parser);
	if (parser->token.kind == TOKEN_OPEN_BRACKET && !parse_metadata(parser, &here))
		return false;
	if (!here) {
		calls->elsewhere = true;
		return true;
	}
	calls->at[calls->count].token = token;
	return call_number(parser, &token, &calls->at[calls->count++].number);
}

static bool parse_calls(struct policy_parser *parser, struct calls *calls)
{
	const struct policy_token open = parser->token;
	char found[64];

	if (open.kind != TOKEN_OPEN_BRACE)
		return parse_call(parser, calls);
	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL)
		return parser_error(parser, &open, "minijail0 takes one system call a rule");
	do {
		parser_advance(parser);
		if (!parse_call(parser, calls))
			return false;
	} while (parser->token.kind == TOKEN_COMMA);
	if (parser->token.kind != TOKEN_CLOSE_BRACE)
		return parser_error(parser, &open, "unclosed '{': found %s where '}' should be",
				    parser_found(parser, found));
	parser_advance(parser);
	return true;
}

/* ---- rules
 * ------------------------------------------------------------------------------------------------------------
 */

static bool parse_filters(struct policy_parser *parser, struct policy_filter **out)
{
	const struct policy_token open = parser->token;
	struct policy_filter **tail = out;
	char found[64];

	if (open.kind == TOKEN_END)
		return parser_error(parser, &open,
				    "an empty rule: what is allowed should follow ':'");
	if (open.kind != TOKEN_OPEN_BRACE)
		return parser_filter(parser, false, out);
	do {
		parser_advance(parser);
		if (!parser_filter(parser, true, tail))
			return false;
		while (*tail)
			tail = &(*tail)->next;
	} while (parser->token.kind == TOKEN_COMMA);
	if (parser->token.kind != TOKEN_CLOSE_BRACE)
		return parser_error(parser, &open, "unclosed '{': found %s where '}' should be",
				    parser_found(parser, found));
	parser_advance(parser);
	return true;
}

/* A comment without its marks, its lines joined by blanks; bytes that would drive a terminal become
 * "?". */
static const char *comment_text(struct policy_parser *parser, size_t from, size_t to)
{
	char *out = parser_alloc(parser, to - from + 1);
	bool at_mark = true;
	size_t n = 0;

	if (!out)
		return "";
	for (size_t i = from; i < to; i++) {
		char c = parser->lex->text[i];

		if (at_mark && (c == '#' || c == ' ' || c == '\t'))
			continue;
		at_mark = c == '\n';
		if (c == '\n' && n && out[n - 1] != ' ')
			out[n++] = ' ';
		else if (c != '\n')
			out[n++] = (unsigned char)c >= ' ' && c != 0x7f ? c : '?';
	}
	while (n && out[n - 1] == ' ')
		n--;
	out[n] = '\0';
	return out;
}

static const char *reason(struct policy_parser *parser)
{
	const struct policy_lex *lex = parser->lex;

	if (lex->beside != lex->beside_end)
		return comment_text(parser, lex->beside, lex->beside_end);
	return lex->above != lex->above_end ? comment_text(parser, lex->above, lex->above_end) : "";
}

/* Filters are shared by no two rules: each rule appends to its own list. */
static struct policy_filter *copy_filters(struct policy_parser *parser,
					  const struct policy_filter *from)
{
	struct policy_filter *first = NULL, **tail = &first;

	for (; from; from = from->next) {
		*tail = parser_alloc(parser, sizeof(**tail));
		if (!*tail)
			return NULL;
		**tail = *from;
		(*tail)->next = NULL;
		tail = &(*tail)->next;
	}
	return first;
}

static struct policy_filter *last_filter(struct policy_filter *filter)
{
	while (filter->next)
		filter = filter->next;
	return filter;
}

/* Rules of one call are one list of filters, in the order of the text, unless the dialect knows one
 * rule a call. */
static bool check_repeated(struct policy_parser *parser, const struct policy_token *token,
			   struct policy_rule *rule)
{
	const struct policy_filter *last;

	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL)
		return parser_error(
			parser, token,
			"a second rule for '%s' (minijail0 takes one): the first is at %s:%u:%u",
			rule->name, rule->place.file, rule->place.line, rule->place.column);
	last = last_filter(rule->filters);
	if (!last->clauses)
		return parser_error(
			parser, token,
			"never reached: '%s' is decided whatever its arguments at %s:%u:%u",
			rule->name, last->place.file, last->place.line, last->place.column);
	return true;
}

static bool add_rule(struct policy_parser *parser, const struct policy_token *token,
		     uint32_t number, const struct policy_filter *filters, const char *why)
{
	struct policy_rule *rule = parser->rules[number];
	struct policy_filter *own;

	if (rule && !check_repeated(parser, token, rule))
		return false;
	own = copy_filters(parser, filters);
	if (!own)
		return false;
	if (!rule) {
		rule = parser_alloc(parser, sizeof(*rule));
		if (!rule)
			return false;
		rule->place = parser_place(parser, token);
		rule->name = parser_copy(parser, token);
		rule->reason = why;
		rule->number = number;
		parser->rules[number] = rule;
		parser->tails[number] = &rule->filters;
		if (!rule->name)
			return false;
	} else if (!*rule->reason) {
		rule->reason = why;
	}
	*parser->tails[number] = own;
	parser->tails[number] = &last_filter(own)->next;
	return true;
}

static bool check_reachable(struct policy_parser *parser, const struct policy_filter *filters)
{
	for (const struct policy_filter *f = filters; f && f->next; f = f->next) {
		if (!f->clauses) {
			struct policy_token at = { .length = 1,
						   .text = "",
						   .line = f->next->place.line,
						   .column = f->next->place.column };

			return parser_error(parser, &at,
					    "never reached: the filter before it matches always");
		}
	}
	return true;
}

static bool parse_rule(struct policy_parser *parser)
{
	struct policy_filter *filters = NULL;
	struct calls calls = { .count = 0 };
	const char *why;
	char found[64];

	if (!parse_calls(parser, &calls))
		return false;
	if (parser->token.kind != TOKEN_COLON)
		return parser_error(parser, &parser->token,
				    "':' should follow the system call, not %s",
				    parser_found(parser, found));
	parser_advance(parser);
	if (!parse_filters(parser, &filters) || !check_reachable(parser, filters))
		return false;
	if (parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token, "the rule ends before %s",
				    parser_found(parser, found));
	why = reason(parser);
	for (size_t i = 0; i < calls.count; i++)
		if (!add_rule(parser, &calls.at[i].token, calls.at[i].number, filters, why))
			return false;
	return true;
}

/* ---- words
 * ------------------------------------------------------------------------------------------------------------
 */

/* "/x" stays, "./x" is relative to the file that says so. */
static bool parse_path(struct policy_parser *parser, struct policy_token *at, char **out)
{
	const char *base = parser->source->name, *slash = strrchr(base, '/');
	struct policy_token path = lex_path(parser->lex);
	size_t dir = slash ? (size_t)(slash - base) + 1 : 0;
	const char *rest;
	char *joined;

	*at = parser->token = path;
	if (path.kind == TOKEN_WRONG)
		return parser_error(parser, &path, "%s", parser->lex->wrong);
	if (path.kind != TOKEN_PATH)
		return parser_error(parser, &path, "a path should follow");
	if (path.text[0] != '/' && (path.length < 3 || path.text[0] != '.' || path.text[1] != '/'))
		return parser_error(parser, &path,
				    "a path begins with '/' or './' (beside this file)");
	parser_advance(parser);
	if (parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token, "nothing may follow the path");
	rest = path.text;
	if (*rest == '/')
		dir = 0;
	else
		rest += 2;
	joined = parser_alloc(parser, dir + path.length + 1);
	if (!joined)
		return false;
	memcpy(joined, base, dir);
	memcpy(joined + dir, rest, path.length - (size_t)(rest - path.text));
	*out = joined;
	return true;
}

static bool open_source(struct policy_parser *parser, const struct policy_token *at, char *path,
			struct policy_source *source)
{
	int err;

	if (parser->depth == DEPTH)
		return parser_error(parser, at, "more than %d files within each other", DEPTH);
	err = source_read(source, path);
	if (err == -EFBIG)
		return parser_error(parser, at, "'%s' is larger than 1 MiB", path);
	if (err == -EINVAL)
		return parser_error(parser, at, "'%s' is no regular file", path);
	if (err)
		return parser_error(parser, at, "cannot read '%s': %s", path, strerror(-err));
	source->name = path;
	for (struct policy_source *s = parser->source; s; s = s->includer) {
		if (s->inode == source->inode && s->device == source->device && s->inode) {
			source_close(source);
			return parser_error(parser, at, "'%s' includes itself", path);
		}
	}
	return true;
}

/* Reads SOURCE from its beginning to its end with EACH, then returns to where the parser was. */
static void read_source(struct policy_parser *parser, struct policy_source *source,
			bool (*each)(struct policy_parser *parser))
{
	struct policy_source *outer = parser->source;
	struct policy_lex *outer_lex = parser->lex, lex;

	source->includer = outer;
	parser->source = source;
	parser->lex = &lex;
	parser->depth++;
	lex_init(&lex, source->text, source->size, parser->options->dialect);
	for (parser_advance(parser); parser->token.kind != TOKEN_EOF; parser_advance(parser)) {
		parser->bad_line = false;
		if (parser->token.kind == TOKEN_END)
			continue;
		if (!each(parser))
			while (parser->token.kind != TOKEN_END && parser->token.kind != TOKEN_EOF)
				parser->token = lex_next(&lex);
		if (parser->out_of_memory || parser->errors >= PARSER_ERRORS)
			break;
	}
	parser->depth--;
	parser->source = outer;
	parser->lex = outer_lex;
}

static bool parse_include(struct policy_parser *parser)
{
	struct policy_source source = { .text = NULL };
	struct policy_token at;
	bool outer = parser->denylist_said;
	char *path = NULL;

	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL && parser->depth > 1)
		return parser_error(parser, &parser->token,
				    "minijail0 lets no included file include another");
	if (!parse_path(parser, &at, &path) || !open_source(parser, &at, path, &source))
		return false;
	parser->denylist_said = false;
	read_source(parser, &source, parser_statement);
	if (parser->options->denylist && !parser->denylist_said)
		parser_error(parser, &at, "'%s' does not say @denylist", path);
	parser->denylist_said = outer;
	source_close(&source);
	/* What went wrong inside is not this line's; this line is read to its end. */
	parser->token = (struct policy_token){ .kind = TOKEN_END };
	return true;
}

static bool parse_weight(struct policy_parser *parser)
{
	struct calls calls = { .count = 0 };
	struct policy_token number;
	uint64_t weight;
	char found[64];

	if (!parse_call(parser, &calls) || !expect(parser, TOKEN_COLON, "':'"))
		return false;
	number = parser->token;
	if (number.kind != TOKEN_NUMBER || number.text[0] == '-')
		return parser_error(parser, &number,
				    "how often the call is made should stand here, not %s",
				    parser_found(parser, found));
	if (!parser_value(parser, &weight))
		return false;
	if (parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token, "nothing may follow the number");
	for (size_t i = 0; i < calls.count; i++) {
		uint64_t *sum = &parser->weights[calls.at[i].number];

		*sum = weight > WEIGHT_LIMIT - *sum ? WEIGHT_LIMIT : *sum + weight;
		parser->weighed[calls.at[i].number] = true;
	}
	return true;
}

static bool parse_frequency(struct policy_parser *parser)
{
	struct policy_source source = { .text = NULL };
	struct policy_token at;
	char *path = NULL;

	if (!parse_path(parser, &at, &path))
		return false;
	/* minijail0 reads past the word and does not open the file. */
	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL)
		return true;
	if (!open_source(parser, &at, path, &source))
		return false;
	read_source(parser, &source, parse_weight);
	source_close(&source);
	parser->token = (struct policy_token){ .kind = TOKEN_END };
	return true;
}

static bool parse_default(struct policy_parser *parser)
{
	const struct policy_token word = parser->token;
	struct policy_token token;
	struct policy_action action;
	char name[32], found[64];

	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL)
		return parser_error(parser, &word, "minijail0 knows no @default");
	if (parser->options->denylist)
		return parser_error(parser, &word,
				    "a denylist has no @default: what it does not name is allowed");
	if (parser->default_place.line)
		return parser_error(parser, &word, "a second @default: the first is at %s:%u:%u",
				    parser->default_place.file, parser->default_place.line,
				    parser->default_place.column);
	parser_advance(parser);
	token = parser->token;
	snprintf(name, sizeof(name), "%.*s", (int)(token.length < 31 ? token.length : 31),
		 token.text);
	if (token.kind != TOKEN_NAME ||
	    policy_action_parse(strcmp(name, "kill") ? name : "kill-thread", &action) < 0)
		return parser_error(
			parser, &token,
			"kill-process, kill-thread, kill, trap or user-notify should stand here, not %s",
			parser_found(parser, found));
	if (action.verdict == POLICY_ALLOW || action.verdict == POLICY_LOG ||
	    action.verdict == POLICY_TRACE || action.verdict == POLICY_ERRNO)
		return parser_error(
			parser, &token,
			"'%s' lets too much through for a policy's own default: give it with --default-action",
			name);
	parser_advance(parser);
	if (parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token,
				    "nothing may follow the default action");
	parser->default_place = parser_place(parser, &word);
	if (!parser->options->default_given)
		parser->policy->default_action = action;
	parser->policy->default_given = true;
	return true;
}

static bool parse_denylist(struct policy_parser *parser)
{
	if (parser->options->dialect == POLICY_DIALECT_MINIJAIL)
		return parser_error(parser, &parser->token, "minijail0 knows no @denylist");
	if (!parser->options->denylist)
		return parser_error(parser, &parser->token,
				    "a denylist is read with --denylist only");
	if (parser->denylist_said)
		return parser_error(parser, &parser->token, "@denylist is said twice");
	parser->denylist_said = true;
	parser_advance(parser);
	if (parser->token.kind != TOKEN_END)
		return parser_error(parser, &parser->token, "nothing may follow @denylist");
	return true;
}

bool parser_statement(struct policy_parser *parser)
{
	const struct policy_token token = parser->token;

	if (token.kind == TOKEN_AT) {
		if (parser_is(parser, "@include"))
			return parse_include(parser);
		if (parser_is(parser, "@frequency"))
			return parse_frequency(parser);
		if (parser_is(parser, "@default"))
			return parse_default(parser);
		if (parser_is(parser, "@denylist"))
			return parse_denylist(parser);
		if (parser_is(parser, "@prove"))
			return parser_property(parser);
		return parser_error(
			parser, &token,
			"unknown word '%.*s': @include, @frequency, @default and @denylist are",
			(int)token.length, token.text);
	}
	if (token.kind == TOKEN_COLON)
		return parser_error(parser, &token,
				    "the name of a system call should stand before ':'");
	return parse_rule(parser);
}
