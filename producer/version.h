/*
 * version.h - the version that the programs print and heartbeats carry
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 */
#ifndef FM_VERSION_H
#define FM_VERSION_H

#define FM_VERSION "1.0"

#endif							/* FM_VERSION_H */
