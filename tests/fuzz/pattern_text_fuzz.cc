// What users type as patterns, and what comes back from who compiles them: any bytes.
//
// The first byte says what the others are.
#include <cstdlib>
#include <string>

#include "controlplane/patterns/expression_shape.h"
#include "controlplane/patterns/order_format.h"
#include "controlplane/patterns/pattern.h"

namespace {

using namespace sluice;
using namespace sluice::patterns;

void require(bool condition) {
    if (!condition)
        std::abort();
}

void read_as(contract::PatternType type, std::string_view typed) {
    const auto text = read_pattern(type, typed);
    if (!text) {
        require(text.error().column <= typed.size() && !text.error().message.empty());
        return;
    }
    const auto again = read_pattern(type, *text);
    require(again && *again == *text);
    if (type == contract::PatternType::names)
        return;
    if (!is_expression(*text)) {
        require(literal_text(literal_bytes(*text)) == *text);
        return;
    }
    const Expression expression = expression_of(*text);
    require(text->size() ==
            kExpressionColumn + expression.text.size() + 1 + expression.letters.size());
    require(shape_of(expression.text).certain.size() <= 256 * expression.text.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0)
        return 0;
    const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    switch (data[0] % 4) {
        case 0:
            read_as(contract::PatternType::bytes, text);
            break;
        case 1:
            read_as(contract::PatternType::names, text);
            break;
        case 2:
            if (const auto order = read_order(text))
                require(read_order(write_order(*order)).has_value());
            break;
        default:
            if (const auto answer = read_answer(text))
                require(write_answer(*answer) == text);
    }
    return 0;
}
