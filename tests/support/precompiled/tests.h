// As library.h, for tests.
#include "support/precompiled/library.h"

#include "support/Catch.h"
