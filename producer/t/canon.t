#!/bin/sh
# canon.t - canonical JSON, times, messages: all in C
#
# Copyright (c) 2026, factorymon contributors; PostgreSQL License
exec t/check-canon
