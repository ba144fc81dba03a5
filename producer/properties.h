/*
 * properties.h - librdkafka's configuration properties
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 * A list of name and value, later entries winning, from three sources in this
 * order: our defaults, the environment, -X on the command line.  Of the
 * environment these variables count:
 *
 *	KAFKA_CONFIG_<NAME>			any property
 *	KAFKA_SECURITY_<NAME>		security.<name>
 *	KAFKA_SASL_<NAME>			sasl.<name>
 *	KAFKA_SSL_<NAME>			ssl.<name>
 *
 * where <NAME> is the property in capitals with "_" for "." and "__" for "_":
 * KAFKA_CONFIG_SSL_CA_LOCATION and KAFKA_SSL_CA_LOCATION are ssl.ca.location.
 * Other KAFKA_ variables are not ours.  An unknown property is an error, and a
 * message about a property never shows the value of a secret.
 */
#ifndef FM_PROPERTIES_H
#define FM_PROPERTIES_H

#include <librdkafka/rdkafka.h>
#include <stdbool.h>

typedef struct FmProperty
{
	char	   *name;
	char	   *value;
	char	   *source;			/* for messages: "-X", a variable */
} FmProperty;

typedef struct FmProperties
{
	FmProperty *list;
	int			n;
} FmProperties;

extern void fm_properties_add(FmProperties *props, const char *name,
							  const char *value, const char *source);

/* "name=value" of -X; false: no such thing.  Blanks a secret in place. */
extern bool fm_properties_add_option(FmProperties *props, char *arg);
extern void fm_properties_add_environment(FmProperties *props);

/*
 * Set them all.  On failure returns false with a message for the user that
 * holds no secret.
 */
extern bool fm_properties_apply(const FmProperties *props,
								rd_kafka_conf_t *conf, char *why,
								size_t size);
extern void fm_properties_free(FmProperties *props);

#endif							/* FM_PROPERTIES_H */
