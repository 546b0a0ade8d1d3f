/* How many entries a walk will see, so that its progress can be given in per cent. */
#ifndef VEGA_ENGINE_EXPECTED_H
#define VEGA_ENGINE_EXPECTED_H

#include <stdint.h>

#include "spec/spec.h"
#include "walk/walk.h"

/*
 * The sum of what the trees say of the roots, as walked. 0 when one of them does not know, or when
 * exclusions or --max-depth leave an unknown part out. Predicates do not: what they pass over was
 * seen.
 */
uint64_t expected_entries(const struct spec *spec, const struct walk *walk);

#endif
