#include "controlplane/service/table_file.h"

#include <gtest/gtest.h>

namespace sluice::service {
namespace {

std::string refusal(std::string_view text) {
    const auto read = parse_table_file(text, "f");
    return read ? "" : read.error().message;
}

TEST(TableFile, KeepsKeysValuesAndLineNumbers) {
    const auto read = parse_table_file("# a\n\t10.0.0.0/8 # b\r\n\n::/0  7\n1.2.3.4", "f");
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, "\n10.0.0.0/8\n\n::/0 7\n1.2.3.4\n");
}

TEST(TableFile, ErrorsNameLineAndColumn) {
    EXPECT_EQ(refusal("10.0.0.0/8\n 10.0.0.256\n").rfind("f:2:2: bad address", 0), 0u);
    EXPECT_EQ(refusal("10.0.0.0/8 7 8\n").rfind("f:1:14: more words", 0), 0u);
    EXPECT_EQ(refusal("10.0.0.0/-1\n").rfind("f:1:1: bad prefix length", 0), 0u);
}

}  // namespace
}  // namespace sluice::service
