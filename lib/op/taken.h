/*
 * Which output a run has for each file of the output tree: where the file system neither tells
 * names apart nor lists them as they were given, two outputs that are one file are found by that.
 * Nothing is kept elsewhere. 24 bytes a file, at most 48 with the table's room to grow.
 */
#ifndef VEGA_OP_TAKEN_H
#define VEGA_OP_TAKEN_H

#include <stdint.h>

struct taken;

struct taken *taken_new(void); /* NULL: no memory */
void taken_free(struct taken *taken);

/* The file is the output at that relative path: 1; 0: another output has it; or -ENOMEM.
 * Thread-safe. */
int taken_add(struct taken *taken, uint64_t dev, uint64_t ino, const char *relative);

#endif
