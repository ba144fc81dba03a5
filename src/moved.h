/*-------------------------------------------------------------------------
 *
 * moved.h
 *	  Sensors that come through another stream than before.
 *
 * Copyright (c) 2026, factorymon contributors; PostgreSQL License
 *
 *-------------------------------------------------------------------------
 */
#ifndef FM_MOVED_H
#define FM_MOVED_H

#include "pipeline.h"

/*
 * Ask the owners of the streams that sensors of a pipeline have left to end
 * their alarms there.  A duty of the supervisor, outside any transaction.
 */
extern void fm_moved_run(FmPipeline *pipeline);

#endif							/* FM_MOVED_H */
