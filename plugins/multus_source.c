/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multus_source.c - see multus_source.h.
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "plugins/agent_client.h"
#include "plugins/multus_select.h"
#include "plugins/multus_source.h"

#define AGENT_MS 30000 /* patience with the agent, which may have to ask the API server */
#define API_MS 20000   /* with the API server */
#define STATUS_TRIES 5 /* for a status that others' writes are in the way of */
#define RESOURCE_ANNOTATION "k8s.v1.cni.cncf.io/resourceName"

static const struct k8s_resource pods = { "", "v1", "pods", true };
static const struct k8s_resource definitions = { "k8s.cni.cncf.io", "v1",
	                                         "network-attachment-definitions", true };

void multus_pod_release(struct multus_pod *p)
{
	free(p->uid);
	free(p->default_network);
	free(p->networks);
	*p = (struct multus_pod){ .known = false };
}

void multus_source_release(struct multus_source *s)
{
	free(s->away);
	json_free(s->wanted);
	json_free(s->networks);
	json_free(s->told);
	if (s->client) {
		k8s_client_free(s->client);
		k8s_config_release(&s->config);
	}
}

static char *text_or_null(const char *s)
{
	return s && *s ? xstrdup(s) : NULL;
}

/* The API server. */
static int connect_directly(struct multus_source *s, struct err *e)
{
	s->direct = true;
	if (s->client)
		return 0;
	if (!*s->conf->kubeconfig)
		return err_set(e, ERR_CONFIG, "no kubeconfig is configured");
	if (k8s_config_kubeconfig(s->conf->kubeconfig, NULL, &s->config, e) < 0)
		return -1;
	s->client = k8s_client_new(&s->config);
	return 0;
}

static struct mono api_deadline(const struct multus_source *s)
{
	return mono_min(s->call->deadline, mono_in(API_MS));
}

/* The kubelet gives a pod of its own files another uid than the object has. */
static bool is_static(const json *pod, const char *uid)
{
	const char *its =
		json_str_at(pod, "metadata", "annotations", "kubernetes.io/config.hash", NULL);

	return its && streq(its, uid);
}

static int pod_directly(struct multus_source *s, struct multus_pod *out, struct err *e)
{
	const struct cni_call *c = s->call;
	AUTO_JSON *pod = NULL;
	const char *uid;

	if (connect_directly(s, e) < 0)
		return -1;
	if (k8s_get(s->client, &pods, c->pod_namespace, c->pod_name, &pod, api_deadline(s), e) < 0)
		return err_wrap(e, "read pod %s/%s", c->pod_namespace, c->pod_name);
	uid = json_str_at(pod, "metadata", "uid", NULL);
	if (*c->pod_uid && (!uid || !streq(uid, c->pod_uid)) && !is_static(pod, c->pod_uid))
		return err_set(e, ERR_NOT_FOUND,
		               "pod %s/%s has the uid %s, not %s: it was replaced",
		               c->pod_namespace, c->pod_name, uid ? uid : "(none)", c->pod_uid);
	*out = (struct multus_pod){
		.known = true,
		.uid = xstrdup(uid ? uid : ""),
		.default_network = text_or_null(
			json_str_at(pod, "metadata", "annotations", MULTUS_DEFAULT_NETWORK, NULL)),
		.networks = text_or_null(
			json_str_at(pod, "metadata", "annotations", MULTUS_NETWORKS, NULL)),
	};
	return 0;
}

/* The agent. */
static json *identity(const struct cni_call *c)
{
	json *j = json_new_object();

	json_set_str(j, "podNamespace", c->pod_namespace);
	json_set_str(j, "podName", c->pod_name);
	json_set_str(j, "podUID", c->pod_uid);
	return j;
}

/* Who can ask the API server does not wait for an agent that is not there; nor does STATUS, as that
 * is what it is asked for. */
static int ask(struct multus_source *s, const char *path, const json *body, json **answer,
               struct err *e)
{
	bool wait = !*s->conf->kubeconfig && s->call->command != CNI_STATUS;

	return agent_request(s->conf->agent_socket, "POST", path, body, wait, answer,
	                     mono_min(s->call->deadline, mono_in(AGENT_MS)), e);
}

/* Nobody there, or another program's agent, which does not know the path. */
static bool go_on_directly(struct multus_source *s, struct err *e)
{
	if (!*s->conf->kubeconfig || (e->kind != ERR_UNREACHABLE && e->kind != ERR_NOT_FOUND)) {
		agent_explain(s->conf->agent_socket, e);
		return false;
	}
	log_info("the API server is asked, not the agent: %s", e->msg);
	s->direct = true;
	free(s->away);
	s->away = xstrdup(e->msg);
	return true;
}

/* The API server has failed too, for the reason why: who is not let in waits for the agent. */
static int ask_after_all(struct multus_source *s, const char *path, const json *body, json **answer,
                         const struct err *why, struct err *e)
{
	bool let_in = s->client && why->kind != ERR_IDENTITY;
	struct mono deadline = mono_min(s->call->deadline, mono_in(AGENT_MS));
	struct err mine;

	if (!s->away || (let_in && why->kind == ERR_NOT_FOUND))
		return err_copy(e, why);
	if (let_in)
		return err_set(e, why->kind, "%s; and %s", why->msg, s->away);
	log_info("the agent is waited for: %s", why->msg);
	if (agent_request(s->conf->agent_socket, "POST", path, body, s->call->command != CNI_STATUS,
	                  answer, deadline, &mine) < 0) {
		agent_explain(s->conf->agent_socket, &mine);
		return err_set(e, mine.kind, "%s; and %s", mine.msg, why->msg);
	}
	s->direct = false;
	return 0;
}

static int read_pod(const json *answer, struct multus_pod *out, struct err *e)
{
	const char *uid = "", *first = "", *networks = "";
	bool known = false;

	if (json_opt_bool(answer, "known", &known, e) < 0 ||
	    json_opt_str(answer, "uid", &uid, e) < 0 ||
	    json_opt_str(answer, "defaultNetwork", &first, e) < 0 ||
	    json_opt_str(answer, "networks", &networks, e) < 0)
		return err_wrap(e, "answer of the agent");
	*out = (struct multus_pod){
		.known = known,
		.uid = xstrdup(uid),
		.default_network = text_or_null(first),
		.networks = text_or_null(networks),
	};
	return 0;
}

static bool is_asked(const struct multus_source *s)
{
	return !s->direct && *s->conf->agent_socket;
}

/* An agent that does not know the question says nothing of it. */
static void take_definitions(struct multus_source *s, json *answer, const json *if_known)
{
	const json *found = json_get(answer, "definitions");

	if (!json_is_object(found))
		return;
	json_free(s->networks);
	json_free(s->told);
	s->networks = json_detach(answer, found);
	s->told = json_copy(if_known);
}

int multus_source_pod(struct multus_source *s, const json *if_known, struct multus_pod *out,
                      struct err *e)
{
	AUTO_JSON *body = NULL;
	AUTO_JSON *answer = NULL;
	struct err mine;

	*out = (struct multus_pod){ .known = false };
	if (!*s->call->pod_name || (!is_asked(s) && !*s->conf->kubeconfig))
		return 0;
	if (!is_asked(s))
		return pod_directly(s, out, e);
	body = identity(s->call);
	if (json_first(if_known))
		json_set(body, "ifKnown", json_copy(if_known));
	if (ask(s, "/v1/multus/pod", body, &answer, &mine) < 0) {
		if (!go_on_directly(s, &mine))
			return err_copy(e, &mine);
		if (pod_directly(s, out, &mine) == 0)
			return 0;
		if (ask_after_all(s, "/v1/multus/pod", body, &answer, &mine, e) < 0)
			return -1;
	}
	if (read_pod(answer, out, e) < 0)
		return -1;
	take_definitions(s, answer, if_known);
	return 0;
}

static int read_networks(struct multus_source *s, json *answer, struct err *e)
{
	const json *list;

	if (json_obj(answer, "networks", &list, e) < 0)
		return err_wrap(e, "answer of the agent");
	json_free(s->networks);
	s->networks = json_detach(answer, list);
	return 0;
}

static bool is_among(const json *names, const char *name)
{
	json_each(one, names)
	{
		if (streq(json_text(one), name))
			return true;
	}
	return false;
}

static bool is_told(const struct multus_source *s, const json *names)
{
	json_each(name, names)
	{
		if (!is_among(s->told, json_text(name)))
			return false;
	}
	return s->told != NULL;
}

int multus_source_expect(struct multus_source *s, const json *names, const json *if_known,
                         struct err *e)
{
	AUTO_JSON *answer = NULL;
	struct err mine;

	if (!json_first(names) && !json_first(if_known))
		return 0;
	json_free(s->wanted);
	s->wanted = json_new_object();
	json_set(s->wanted, "networks", json_copy(names));
	json_set(s->wanted, "ifKnown", json_copy(if_known));
	if (!is_asked(s) || (!json_first(names) && is_told(s, if_known)))
		return 0;
	if (ask(s, "/v1/multus/networks", s->wanted, &answer, &mine) < 0)
		return go_on_directly(s, &mine) ? 0 : err_copy(e, &mine);
	return read_networks(s, answer, e);
}

/* Networks. */
static int network_directly(struct multus_source *s, const char *ns, const char *name, char **conf,
                            char **resource, struct err *e)
{
	AUTO_JSON *o = NULL;
	const char *text;

	if (connect_directly(s, e) < 0 ||
	    k8s_get(s->client, &definitions, ns, name, &o, api_deadline(s), e) < 0)
		return -1;
	text = json_str_at(o, "spec", "config", NULL);
	*conf = xstrdup(text ? text : "");
	*resource =
		text_or_null(json_str_at(o, "metadata", "annotations", RESOURCE_ANNOTATION, NULL));
	return 0;
}

static int find_network(struct multus_source *s, const char *ns, const char *name, char **conf,
                        char **resource, struct err *e)
{
	AUTO_FREE char *key = xasprintf("%s/%s", ns, name);
	const char *text;
	const json *o;

	if (!is_asked(s) && *s->conf->kubeconfig) {
		AUTO_JSON *answer = NULL;
		struct err mine;

		if (network_directly(s, ns, name, conf, resource, &mine) == 0)
			return 0;
		if (ask_after_all(s, "/v1/multus/networks", s->wanted, &answer, &mine, e) < 0 ||
		    read_networks(s, answer, e) < 0)
			return -1;
	}
	o = json_get(s->networks, key);
	if (!o)
		return err_set(e, ERR_NOT_FOUND, "there is none");
	text = json_str_at(o, "config", NULL);
	*conf = xstrdup(text ? text : "");
	*resource = text_or_null(json_str_at(o, "resourceName", NULL));
	return 0;
}

int multus_source_network(struct multus_source *s, const char *ns, const char *name, json **conf,
                          char **resource, struct err *e)
{
	AUTO_FREE char *text = NULL;
	AUTO_FREE char *wants = NULL;

	if (find_network(s, ns, name, &text, &wants, e) < 0)
		return err_wrap(e, "NetworkAttachmentDefinition %s/%s", ns, name);
	if (!text[strspn(text, " \t\r\n")]) {
		if (multus_file_network(s->conf->conf_dir, name, conf, e) < 0) {
			if (e)
				e->kind = ERR_CONFIG; /* the definition is there */
			return err_wrap(e, "NetworkAttachmentDefinition %s/%s has no configuration",
			                ns, name);
		}
	} else if (json_parse(text, strlen(text), JSON_UNIQUE, conf, e) < 0) {
		if (e)
			e->kind = ERR_CONFIG;
		return err_wrap(e, "configuration of NetworkAttachmentDefinition %s/%s", ns, name);
	}
	*resource = take_ptr(&wants);
	return 0;
}

/* Files. */
int multus_file_read(const char *path, json **out, struct err *e)
{
	AUTO_STR text = STR_INIT;

	if (file_read_regular(path, CNI_CONF_MAX, &text, e) < 0)
		return -1;
	if (json_parse(text.data, text.len, JSON_UNIQUE, out, e) < 0)
		return err_wrap(e, "%s", path);
	return 0;
}

static bool is_conf_file(const char *name)
{
	return str_ends(name, ".conf") || str_ends(name, ".conflist") || str_ends(name, ".json");
}

bool multus_is_itself(const json *conf)
{
	const char *type = json_str_at(conf, "type", NULL);

	if (type && str_starts(type, "multus"))
		return true;
	json_each(p, json_get(conf, "plugins"))
	{
		type = json_str_at(p, "type", NULL);
		if (type && str_starts(type, "multus"))
			return true;
	}
	return false;
}

static bool is_called(const json *conf, const char *name)
{
	const char *its = json_str_at(conf, "name", NULL);

	return !name || (its && streq(its, name));
}

int multus_file_network(const char *dir, const char *name, json **out, struct err *e)
{
	char **names = NULL;
	size_t n = 0;
	bool found = false;

	if (file_list(dir, &names, &n, e) < 0)
		return -1;
	for (size_t i = 0; i < n && !found; i++) {
		AUTO_FREE char *path = xasprintf("%s/%s", dir, names[i]);
		AUTO_JSON *conf = NULL;
		struct err mine;

		if (!is_conf_file(names[i]))
			continue;
		if (multus_file_read(path, &conf, &mine) < 0) {
			log_warn_err(&mine, "a network configuration is passed over");
			continue;
		}
		found = is_called(conf, name) && !multus_is_itself(conf);
		if (found)
			*out = take_ptr(&conf);
	}
	file_list_free(names, n);
	if (found)
		return 0;
	return err_set(e, ERR_NOT_FOUND, "no file in %s is a network configuration%s%s%s", dir,
	               name ? " called \"" : "", name ? name : "", name ? "\"" : "");
}

/* The status. */
static int status_directly(struct multus_source *s, const struct multus_pod *p, const char *text,
                           struct err *e)
{
	const struct cni_call *c = s->call;
	AUTO_JSON *patch = json_new_object();
	json *meta = json_ensure_object(patch, "metadata");
	struct err mine;

	if (connect_directly(s, e) < 0)
		return -1;
	if (*p->uid)
		json_set_str(meta, "uid", p->uid);
	json_set_str(json_ensure_object(meta, "annotations"), MULTUS_STATUS, text);
	/* somebody may write to the pod at the same moment */
	for (int tries = 0; tries < STATUS_TRIES; tries++) {
		if (k8s_patch(s->client, &pods, c->pod_namespace, c->pod_name, "status", patch,
		              NULL, api_deadline(s), &mine) == 0)
			return 0;
		if (mine.kind != ERR_CONFLICT)
			break;
	}
	/* nobody will look for it */
	if (mine.kind == ERR_NOT_FOUND) {
		log_warn_err(&mine, "network status");
		return 0;
	}
	return err_copy(e, &mine);
}

static int status_failed(const struct multus_source *s, struct err *e)
{
	return err_wrap(e, "write the annotation " MULTUS_STATUS " of pod %s/%s",
	                s->call->pod_namespace, s->call->pod_name);
}

int multus_source_status(struct multus_source *s, const struct multus_pod *p, const char *text,
                         struct err *e)
{
	AUTO_JSON *body = identity(s->call);
	struct err mine;
	int rc = -1;

	json_set_str(body, "podUID", p->uid);
	json_set_str(body, "status", text);
	if (is_asked(s)) {
		rc = ask(s, "/v1/multus/status", body, NULL, &mine);
		if (rc < 0 && !go_on_directly(s, &mine)) {
			err_assign(e, &mine);
			return status_failed(s, e);
		}
	}
	if (rc < 0)
		rc = status_directly(s, p, text, &mine);
	if (rc < 0)
		rc = ask_after_all(s, "/v1/multus/status", body, NULL, &mine, e);
	return rc < 0 ? status_failed(s, e) : 0;
}
