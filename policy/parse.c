/* The parser's outside: one call reads a policy, hostile or not, in one thread, within bounded
 * memory and depth, and reports every line that is wrong. Its grammar lives in statement.c,
 * expression.c and property.c. */
#include "policy/parser.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "policy/names.h"

/* ---- what the parser's files share
 * ------------------------------------------------------------------------------------ */

bool parser_error(struct policy_parser *parser, const struct policy_token *token,
		  const char *format, ...)
{
	char message[512];
	va_list args;

	if (parser->bad_line)
		return false;
	parser->bad_line = true;
	parser->errors++;
	va_start(args, format);
	vsnprintf(message, sizeof(message), format, args);
	va_end(args);
	for (char *c = message; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 0x7f)
			*c = '?';
	source_complain(parser->source, parser->options->errors, parser_place(parser, token),
			token->length, "", message);
	if (parser->options->report)
		parser->options->report(parser->options->report_context,
					parser_place(parser, token), message);
	if (parser->errors == PARSER_ERRORS && parser->options->errors)
		fprintf(parser->options->errors, "%s: too many errors\n", parser->source->name);
	return false;
}

void parser_advance(struct policy_parser *parser)
{
	parser->token = lex_next(parser->lex);
	if (parser->token.kind == TOKEN_WRONG)
		parser_error(parser, &parser->token, "%s", parser->lex->wrong);
}

bool parser_is(const struct policy_parser *parser, const char *word)
{
	const struct policy_token *token = &parser->token;

	return (token->kind == TOKEN_NAME || token->kind == TOKEN_AT) &&
	       token->length == strlen(word) && !memcmp(token->text, word, token->length);
}

struct policy_place parser_place(const struct policy_parser *parser,
				 const struct policy_token *token)
{
	return (struct policy_place){ parser->source->name, token->line, token->column };
}

void *parser_alloc(struct policy_parser *parser, size_t size)
{
	void *out = arena_alloc(parser->policy->arena, size);

	if (!out) {
		parser->out_of_memory = true;
		parser_error(parser, &parser->token, "the policy is too large");
	}
	return out;
}

char *parser_copy(struct policy_parser *parser, const struct policy_token *token)
{
	char *out = parser_alloc(parser, token->length + 1);

	if (out)
		memcpy(out, token->text, token->length);
	return out;
}

const char *parser_found(const struct policy_parser *parser, char buffer[64])
{
	const struct policy_token *token = &parser->token;

	if (token->kind == TOKEN_END || token->kind == TOKEN_EOF)
		return "the end of the line";
	snprintf(buffer, 64, "'%.*s'", (int)(token->length < 60 ? token->length : 60), token->text);
	return buffer;
}

/* ---- the whole
 * --------------------------------------------------------------------------------------------------------
 */

static struct policy *policy_new(const struct policy_parse_options *options)
{
	struct policy_arena *arena = arena_new();
	struct policy *policy = arena ? arena_alloc(arena, sizeof(*policy)) : NULL;

	if (!policy) {
		arena_free(arena);
		return NULL;
	}
	policy->arena = arena;
	policy->arch = options->arch;
	policy->denylist = options->denylist;
	policy->default_given = options->default_given || options->denylist;
	policy->default_action = (struct policy_action){ POLICY_KILL_THREAD, 0 };
	if (options->denylist)
		policy->default_action = (struct policy_action){ POLICY_ALLOW, 0 };
	if (options->default_given)
		policy->default_action = options->default_action;
	return policy;
}

static void collect_rules(struct policy_parser *parser)
{
	struct policy_rule **tail = &parser->policy->rules;

	for (size_t i = 0; i < PARSER_NUMBERS; i++) {
		struct policy_rule *rule = parser->rules[i];

		if (!rule)
			continue;
		rule->weight = parser->weighed[i] ? parser->weights[i] : 1;
		*tail = rule;
		tail = &rule->next;
	}
}

/* The text begins as one file does that another includes; SOURCE is the outermost. */
static void read_policy(struct policy_parser *parser, struct policy_source *source)
{
	struct policy_lex lex;

	parser->source = source;
	parser->lex = &lex;
	parser->depth = 1;
	lex_init(&lex, source->text, source->size, parser->options->dialect);
	for (;;) {
		parser->bad_line = false;
		parser_advance(parser);
		if (parser->token.kind == TOKEN_EOF || parser->out_of_memory ||
		    parser->errors >= PARSER_ERRORS)
			break;
		if (parser->token.kind == TOKEN_END)
			continue;
		parser_statement(parser);
		while (parser->token.kind != TOKEN_END && parser->token.kind != TOKEN_EOF)
			parser->token = lex_next(&lex);
	}
	if (parser->options->denylist && !parser->denylist_said) {
		parser->bad_line = false;
		parser->token = (struct policy_token){ .text = "", .line = 1, .column = 1 };
		parser_error(parser, &parser->token,
			     "a file that is read with --denylist must say @denylist");
	}
}

static int parse_source(struct policy_source *source, const struct policy_parse_options *given,
			struct policy **out)
{
	struct policy_parse_options options = *given;
	struct policy_parser *parser = calloc(1, sizeof(*parser));
	struct policy *policy = policy_new(&options);
	const char *name = source->name;
	int err = -ENOMEM;

	*out = NULL;
	if (!parser || !policy)
		goto out;
	source->name = arena_string(policy->arena, name, strlen(name));
	if (!source->name)
		goto out;
	/* Only minijail's compiler has denylists. */
	if (options.denylist)
		options.dialect = POLICY_DIALECT_COMPILER;
	parser->options = &options;
	parser->policy = policy;
	parser->properties_tail = &policy->properties;
	read_policy(parser, source);
	err = parser->out_of_memory ? -ENOMEM : parser->errors ? -EINVAL : 0;
	if (err)
		goto out;
	collect_rules(parser);
	*out = policy;
	policy = NULL;
out:
	policy_free(policy);
	free(parser);
	return err;
}

int policy_parse(const char *path, const struct policy_parse_options *options, struct policy **out)
{
	struct policy_source source = { .name = (char *)path };
	int err = source_read(&source, path);

	*out = NULL;
	if (err) {
		if (options->errors)
			fprintf(options->errors, "%s: cannot read it: %s\n", path,
				err == -EFBIG	 ? "it is larger than 1 MiB"
				: err == -EINVAL ? "it is no regular file"
						 : strerror(-err));
		/* -EINVAL is kept for the text. */
		return err == -EINVAL ? -EBADF : err;
	}
	err = parse_source(&source, options, out);
	source_close(&source);
	return err;
}

int policy_parse_text(const char *name, const char *text, size_t size,
		      const struct policy_parse_options *options, struct policy **out)
{
	struct policy_source source = { .name = (char *)name, .text = (char *)text, .size = size };

	*out = NULL;
	if (size > SOURCE_LIMIT)
		return -EFBIG;
	return parse_source(&source, options, out);
}

int policy_prove(struct policy *policy, const char *text, FILE *errors)
{
	const struct policy_parse_options options = { .arch = policy->arch, .errors = errors };
	struct policy_source source = { .size = strlen(text) };
	struct policy_parser *parser = calloc(1, sizeof(*parser));
	struct policy_lex lex;
	int err = -ENOMEM;

	if (!parser)
		return -ENOMEM;
	source.name = arena_string(policy->arena, "--prove", 7);
	source.text = arena_string(policy->arena, text, source.size);
	if (!source.name || !source.text)
		goto out;
	lex_init(&lex, source.text, source.size, POLICY_DIALECT_UNSAID);
	parser->options = &options;
	parser->policy = policy;
	parser->source = &source;
	parser->lex = &lex;
	parser->properties_tail = &policy->properties;
	while (*parser->properties_tail)
		parser->properties_tail = &(*parser->properties_tail)->next;
	err = parser_property(parser) && !parser->errors ? 0 : -EINVAL;
out:
	free(parser);
	return err;
}

void policy_free(struct policy *policy)
{
	if (policy)
		arena_free(policy->arena);
}
