/*
 * properties.c - librdkafka's configuration properties
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * See properties.h.  librdkafka itself judges names and values; its message
 * repeats the value, so it is shown for harmless properties only.
 */
#include "properties.h"

#include "buf.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

static bool
is_secret(const char *name)
{
	static const char *const marks[] = {"password", "secret", ".pem", "_pem",
	"ssl.key", "ssl_key", "sasl.username", "oauthbearer", "jaas", "token"};

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (strstr(name, marks[i]))
			return true;
	return false;
}

void
fm_properties_add(FmProperties *props, const char *name, const char *value,
				  const char *source)
{
	FmProperty *p;

	props->list = fm_xrealloc(props->list, (size_t) (props->n + 1) *
							  sizeof(FmProperty));
	p = &props->list[props->n++];
	p->name = fm_xstrdup(name);
	p->value = fm_xstrdup(value);
	p->source = fm_xstrdup(source);
}

bool
fm_properties_add_option(FmProperties *props, char *arg)
{
	char	   *eq = strchr(arg, '=');

	if (eq == NULL || eq == arg)
		return false;
	*eq = '\0';
	fm_properties_add(props, arg, eq + 1, "-X");
	if (is_secret(arg))
		memset(eq + 1, '*', strlen(eq + 1));	/* ps(1) shows arguments */
	*eq = '=';
	return true;
}

/* The property that a variable's name stands for, or false. */
static bool
property_of_variable(const char *var, size_t len, FmBuf *name)
{
	static const char prefix[] = "KAFKA_CONFIG_";
	static const char *const kept[] = {"KAFKA_SECURITY_", "KAFKA_SASL_",
	"KAFKA_SSL_"};
	size_t		skip = 0;

	if (len > sizeof(prefix) - 1 &&
		memcmp(var, prefix, sizeof(prefix) - 1) == 0)
		skip = sizeof(prefix) - 1;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (len > strlen(kept[i]) &&
			memcmp(var, kept[i], strlen(kept[i])) == 0)
			skip = strlen("KAFKA_");
	if (skip == 0)
		return false;
	fm_buf_reset(name);
	for (size_t i = skip; i < len; i++)
	{
		if (var[i] != '_')
			fm_buf_putc(name, (char) tolower((unsigned char) var[i]));
		else if (i + 1 < len && var[i + 1] == '_')
			fm_buf_putc(name, '_'), i++;
		else
			fm_buf_putc(name, '.');
	}
	fm_buf_putc(name, '\0');
	return true;
}

void
fm_properties_add_environment(FmProperties *props)
{
	FmBuf		name = FM_BUF_INIT;
	FmBuf		source = FM_BUF_INIT;

	for (char **var = environ; *var; var++)
	{
		const char *eq = strchr(*var, '=');

		if (eq == NULL || eq[1] == '\0' ||
			!property_of_variable(*var, (size_t) (eq - *var), &name))
			continue;
		fm_buf_reset(&source);
		fm_buf_put(&source, *var, (size_t) (eq - *var));
		fm_buf_putc(&source, '\0');
		fm_properties_add(props, name.data, eq + 1, source.data);
	}
	fm_buf_free(&name);
	fm_buf_free(&source);
}

bool
fm_properties_apply(const FmProperties *props, rd_kafka_conf_t *conf,
					char *why, size_t size)
{
	for (int i = 0; i < props->n; i++)
	{
		const FmProperty *p = &props->list[i];
		char		errstr[512];
		rd_kafka_conf_res_t res;

		res = rd_kafka_conf_set(conf, p->name, p->value, errstr,
								sizeof(errstr));
		if (res == RD_KAFKA_CONF_OK)
			continue;
		if (res == RD_KAFKA_CONF_UNKNOWN)
			snprintf(why, size, "%s: librdkafka has no property \"%s\"",
					 p->source, p->name);
		else if (is_secret(p->name))
			snprintf(why, size, "%s: invalid value for property \"%s\"",
					 p->source, p->name);
		else
			snprintf(why, size, "%s: %s", p->source, errstr);
		return false;
	}
	return true;
}

void
fm_properties_free(FmProperties *props)
{
	for (int i = 0; i < props->n; i++)
	{
		free(props->list[i].name);
		free(props->list[i].value);
		free(props->list[i].source);
	}
	free(props->list);
	props->list = NULL;
	props->n = 0;
}
