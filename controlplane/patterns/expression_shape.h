// What an expression demands: the longest row of bytes that must be in whatever it matches, and
// what is expensive or surprising about it.
//
// It is read once, without being compiled. What is not understood is taken for something that any
// byte could be, so that a literal is never longer than what is truly demanded.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace sluice::patterns {

struct ExpressionShape {
    std::string literal;  // of alternatives, of the one that demands least; empty: none
    std::string certain;  // what each match has in it, whatever the alternative; empty: nothing
    std::size_t largest_repeat = 0;  // of something that is more than one byte's value
    bool any_case = false;           // (?i) somewhere
    bool begins = false;             // ^ or \A
    bool ends = false;               // $, \z or \Z
};

ExpressionShape shape_of(std::string_view expression);

}  // namespace sluice::patterns
