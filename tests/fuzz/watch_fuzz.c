/* SPDX-License-Identifier: Apache-2.0 */
/* links: k8s/client.c k8s/request.c http/http1.c http/stream.c http/url.c json/json.c base/ */
/* libs: cjson */
/*
 * watch_fuzz.c - the lines of a watch, as the API server sends them behind the head of its answer.
 * An event is handed out once, whole, and the version is that of the last one.
 *
 * The first byte of an input is the size of the pieces in which they come.
 */
#include "k8s/watch.c"

#include "tests/fuzz/json.h"

/* The client names it; nothing here speaks TLS. */
int tls_connect(const struct tls_config *config, struct stream *under, const char *name,
                struct mono deadline, struct stream **out, struct err *e)
{
	(void)config;
	(void)name;
	(void)deadline;
	(void)out;
	stream_close(under);
	return err_set(e, ERR_PROTO, "no TLS here");
}

static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n";

static struct k8s_conn *connection(const struct str *sent, size_t piece)
{
	const struct http_request r = { .method = "GET", .target = "/", .host = "h" };
	struct k8s_conn *conn = xcalloc(1, sizeof(*conn));
	struct http_response resp;
	struct err e;

	conn->http = http_new(stream_memory(sent->data, sent->len, piece));
	must(http_send(conn->http, &r, &resp, NULL, MONO_NEVER, &e) == 0);
	return conn;
}

static size_t lines_of(const struct str *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->len; i++)
		n += s->data[i] == '\n';
	return n;
}

static void take_events(struct k8s_watch *w, size_t max)
{
	for (size_t n = 0;; n++) {
		enum k8s_event_type type = (enum k8s_event_type)77;
		struct err e = { .kind = ERR_NONE };
		AUTO_JSON *object = NULL;

		if (next_of_conn(w, &type, &object, MONO_NEVER, &e) < 0) {
			must(!object);
			must_tell(&e);
			return;
		}
		if (!object)
			return;
		must(n < max);
		must(type == K8S_ADDED || type == K8S_MODIFIED || type == K8S_DELETED);
		must(json_is_object(object) && !json_name(object));
		must(streq(w->version, json_str_at(object, "metadata", "resourceVersion", NULL)));
		must(*w->version);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = fuzz_begin(data, size);
	size_t piece = (size_t)fuzz_byte(&in) + 1;
	struct k8s_watch w = { .silence_ms = 600000, .lock = PTHREAD_MUTEX_INITIALIZER };
	AUTO_STR sent = STR_INIT;

	str_add(&sent, head);
	str_addn(&sent, in.at, in.left);
	w.version = xstrdup("1");
	hear(&w);
	w.conn = connection(&sent, piece);
	take_events(&w, lines_of(&sent));
	k8s_conn_free(w.conn);
	free(w.version);
	return 0;
}
