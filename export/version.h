/*
 * version.h - the version that the export client prints
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_VERSION_H
#define FM_VERSION_H

#define FM_VERSION "0.1"

#endif							/* FM_VERSION_H */
