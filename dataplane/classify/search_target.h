// Compiles what stands between SLUICE_TARGET_BEGIN and SLUICE_TARGET_END for other instructions
// than the rest of the file. Functions of headers that are included before keep the common ones, so
// that no copy of them with instructions that a CPU may lack can end up elsewhere in the program.
#pragma once

#define SLUICE_PRAGMA(text) _Pragma(#text)
#if defined(__clang__)
#define SLUICE_TARGET_BEGIN(set) \
    SLUICE_PRAGMA(clang attribute push(__attribute__((target(set))), apply_to = function))
#define SLUICE_TARGET_END _Pragma("clang attribute pop")
#else
#define SLUICE_TARGET_BEGIN(set) _Pragma("GCC push_options") SLUICE_PRAGMA(GCC target(set))
#define SLUICE_TARGET_END _Pragma("GCC pop_options")
#endif
