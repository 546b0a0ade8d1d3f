/* How many entries a walk will see, so that its progress can be given in per cent. */
#ifndef VEGA_ENGINE_EXPECTED_H
#define VEGA_ENGINE_EXPECTED_H

#include <stdint.h>

#include "spec/spec.h"

/*
 * The inodes in use of the file systems that the roots, as walked, are: an entry is one, but for
 * further names of hard links. 0 when that says nothing: a root is not where a whole file system of
 * this machine is mounted, other ones are mounted below it and the walk enters them, the file
 * system does not count (btrfs has no table of inodes, overlayfs shows the count of its upper
 * layer), or exclusions or --max-depth leave an unknown part out. Predicates do not: what they pass
 * over was seen.
 */
uint64_t expected_entries(const struct spec *spec, const struct strlist *roots);

#endif
