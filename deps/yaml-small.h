/* SPDX-License-Identifier: Apache-2.0 */
/*
 * yaml-small.h - libyaml's scanner and parser with calls where it has macros.
 *
 * Its macros test, copy and skip a character of up to four bytes, grow a stack or fill an event at
 * some 500 places, at each of them in full: 15 KB of the program.  We read a few small files, for
 * which calls are fast enough.  deps/build.sh includes this file into scanner.c and parser.c after
 * their own macros; every function does what the macro of that name did, and yields what it
 * yielded.
 *
 * noipa: the stacks are of several types and are handled here as if they were of one, which the
 * optimizer must not know.
 */
#undef IS_ALPHA_AT
#undef IS_HEX_AT
#undef AS_HEX_AT
#undef IS_BREAK_AT
#undef IS_BREAKZ_AT
#undef IS_BLANKZ_AT
#undef STRING_INIT
#undef STRING_DEL
#undef STRING_EXTEND
#undef CLEAR
#undef JOIN
#undef PUSH
#undef ENQUEUE
#undef TOKEN_INIT
#undef EVENT_INIT
#undef CACHE
#undef SKIP
#undef SKIP_LINE
#undef READ
#undef READ_LINE
#undef PEEK_TOKEN
#undef SKIP_TOKEN

#define SMALL static __attribute__((noipa, unused))

#define IS_ALPHA_AT(s, at) small_is_alpha((s).pointer[at])
#define IS_HEX_AT(s, at) (small_hex((s).pointer[at]) >= 0)
#define AS_HEX_AT(s, at) small_hex((s).pointer[at])
#define IS_BREAK_AT(s, at) (small_break_width((s).pointer + (at)) != 0)
#define IS_BREAKZ_AT(s, at) small_is_breakz((s).pointer + (at))
#define IS_BLANKZ_AT(s, at) small_is_blankz((s).pointer + (at))
#define STRING_INIT(parser, s, size) small_string_init(parser, &(s), size)
#define STRING_DEL(parser, s) small_string_del(&(s))
#define STRING_EXTEND(parser, s) small_string_extend(parser, &(s))
#define CLEAR(parser, s) small_clear(&(s))
#define JOIN(parser, a, b) small_join(parser, &(a), &(b))
#define PUSH(parser, stack, value)                                                                 \
	(small_room(parser, (void **)&(stack).start) ? (*(stack).top++ = value, 1) : 0)
#define ENQUEUE(parser, queue, token) small_enqueue(parser, &(token))
#define TOKEN_INIT(token, type, from, to) small_token(&(token), type, &(from), &(to))
#define EVENT_INIT(event, type, from, to) small_event(&(event), type, &(from), &(to))
#define CACHE(parser, length) yaml_parser_update_buffer(parser, length)
#define SKIP(parser) small_skip(parser)
#define SKIP_LINE(parser) small_skip_line(parser)
#define READ(parser, s) small_read(parser, &(s))
#define READ_LINE(parser, s) small_read_line(parser, &(s))
#define PEEK_TOKEN(parser) small_peek_token(parser)
#define SKIP_TOKEN(parser) small_skip_token(parser)
/* the scanner's own function, which takes the mark by value, was given another name */
#define yaml_parser_set_scanner_error(parser, context, mark, problem)                              \
	small_scanner_error(parser, context, &(mark), problem)

SMALL int small_hex(yaml_char_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

SMALL int small_is_alpha(yaml_char_t c)
{
	yaml_char_t lower = c | 0x20;

	return (c >= '0' && c <= '9') || (lower >= 'a' && lower <= 'z') || c == '_' || c == '-';
}

/* Bytes of the line break at p (CR, LF, NEL, LS, PS), CR LF as two breaks; 0: there is none. */
SMALL int small_break_width(const yaml_char_t *p)
{
	if (*p == '\r' || *p == '\n')
		return 1;
	if (*p == 0xc2)
		return p[1] == 0x85 ? 2 : 0;
	return *p == 0xe2 && p[1] == 0x80 && (p[2] | 1) == 0xa9 ? 3 : 0;
}

SMALL int small_is_breakz(const yaml_char_t *p)
{
	return !*p || small_break_width(p);
}

SMALL int small_is_blankz(const yaml_char_t *p)
{
	return *p == ' ' || *p == '\t' || small_is_breakz(p);
}

SMALL int small_no_memory(yaml_parser_t *parser)
{
	parser->error = YAML_MEMORY_ERROR;
	return 0;
}

SMALL int small_scanner_error(yaml_parser_t *parser, const char *context, const yaml_mark_t *mark,
                              const char *problem)
{
	parser->error = YAML_SCANNER_ERROR;
	parser->context = context;
	parser->context_mark = *mark;
	parser->problem = problem;
	parser->problem_mark = parser->mark;
	return 0;
}

SMALL int small_string_init(yaml_parser_t *parser, yaml_string_t *s, size_t size)
{
	s->start = yaml_malloc(size);
	if (!s->start)
		return small_no_memory(parser);
	memset(s->start, 0, size);
	s->pointer = s->start;
	s->end = s->start + size;
	return 1;
}

SMALL void small_string_del(yaml_string_t *s)
{
	yaml_free(s->start);
	s->start = s->pointer = s->end = NULL;
}

SMALL int small_string_extend(yaml_parser_t *parser, yaml_string_t *s)
{
	if (s->pointer + 5 < s->end || yaml_string_extend(&s->start, &s->pointer, &s->end))
		return 1;
	return small_no_memory(parser);
}

SMALL void small_clear(yaml_string_t *s)
{
	s->pointer = s->start;
	memset(s->start, 0, (size_t)(s->end - s->start));
}

SMALL int small_join(yaml_parser_t *parser, yaml_string_t *a, yaml_string_t *b)
{
	if (!yaml_string_join(&a->start, &a->pointer, &a->end, &b->start, &b->pointer, &b->end))
		return small_no_memory(parser);
	b->pointer = b->start;
	return 1;
}

/* Room for one more on a stack: its start, end and top. */
SMALL int small_room(yaml_parser_t *parser, void **stack)
{
	if (stack[2] != stack[1] || yaml_stack_extend(&stack[0], &stack[2], &stack[1]))
		return 1;
	return small_no_memory(parser);
}

SMALL int small_enqueue(yaml_parser_t *parser, const yaml_token_t *token)
{
	if (parser->tokens.tail == parser->tokens.end &&
	    !yaml_queue_extend((void **)&parser->tokens.start, (void **)&parser->tokens.head,
	                       (void **)&parser->tokens.tail, (void **)&parser->tokens.end))
		return small_no_memory(parser);
	*parser->tokens.tail++ = *token;
	return 1;
}

SMALL void small_token(yaml_token_t *token, yaml_token_type_t type, const yaml_mark_t *from,
                       const yaml_mark_t *to)
{
	memset(token, 0, sizeof(*token));
	token->type = type;
	token->start_mark = *from;
	token->end_mark = *to;
}

SMALL void small_event(yaml_event_t *event, yaml_event_type_t type, const yaml_mark_t *from,
                       const yaml_mark_t *to)
{
	memset(event, 0, sizeof(*event));
	event->type = type;
	event->start_mark = *from;
	event->end_mark = *to;
}

/* Past one character of `width` bytes. */
SMALL void small_advance(yaml_parser_t *parser, int width)
{
	parser->mark.index++;
	parser->mark.column++;
	parser->unread--;
	parser->buffer.pointer += width;
}

SMALL int small_width(yaml_char_t c)
{
	return c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4; /* the reader has checked it */
}

SMALL void small_skip(yaml_parser_t *parser)
{
	small_advance(parser, small_width(*parser->buffer.pointer));
}

SMALL void small_skip_line(yaml_parser_t *parser)
{
	int width = small_break_width(parser->buffer.pointer);

	if (!width)
		return;
	if (IS_CRLF(parser->buffer))
		small_advance(parser, 1);
	small_advance(parser, width);
	parser->mark.column = 0;
	parser->mark.line++;
}

SMALL void small_copy(yaml_parser_t *parser, yaml_string_t *s, int width)
{
	memcpy(s->pointer, parser->buffer.pointer, (size_t)width);
	s->pointer += width;
	small_advance(parser, width);
}

SMALL int small_read(yaml_parser_t *parser, yaml_string_t *s)
{
	if (!small_string_extend(parser, s))
		return 0;
	small_copy(parser, s, small_width(*parser->buffer.pointer));
	return 1;
}

/* CR LF, CR, LF and NEL become LF; LS and PS stay. */
SMALL int small_read_line(yaml_parser_t *parser, yaml_string_t *s)
{
	int width = small_break_width(parser->buffer.pointer);

	if (!small_string_extend(parser, s))
		return 0;
	if (width == 3) {
		small_copy(parser, s, width);
		parser->mark.column = 0;
		parser->mark.line++;
	} else if (width) {
		*s->pointer++ = '\n';
		small_skip_line(parser);
	}
	return 1;
}

SMALL yaml_token_t *small_peek_token(yaml_parser_t *parser)
{
	return parser->token_available || yaml_parser_fetch_more_tokens(parser)
	               ? parser->tokens.head
	               : NULL;
}

SMALL void small_skip_token(yaml_parser_t *parser)
{
	parser->token_available = 0;
	parser->tokens_parsed++;
	parser->stream_end_produced = parser->tokens.head++->type == YAML_STREAM_END_TOKEN;
}
