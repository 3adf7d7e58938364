#include "controlplane/patterns/pattern.h"

#include <gtest/gtest.h>

namespace sluice::patterns {
namespace {

using contract::PatternType;

std::string canonical(PatternType type, std::string_view typed) {
    const auto text = read_pattern(type, typed);
    return text ? *text : "no: " + text.error().message;
}

std::string bytes(std::string_view typed) {
    return canonical(PatternType::bytes, typed);
}

std::string name(std::string_view typed) {
    return canonical(PatternType::names, typed);
}

TEST(PatternText, LiteralsHaveOneForm) {
    EXPECT_EQ(bytes("cmd.exe"), R"("cmd.exe")");
    EXPECT_EQ(bytes(R"("cmd.exe")"), R"("cmd.exe")");
    EXPECT_EQ(bytes("hex:636D642e657865"), R"("cmd.exe")");
    EXPECT_EQ(bytes(R"("a b\"\\\n\r\t\0\x41\xfF")"), R"("a b\"\\\n\r\t\x00A\xff")");
    EXPECT_EQ(bytes("hex:9090cd80"), R"("\x90\x90\xcd\x80")");
    EXPECT_EQ(bytes("\"\xc3\xa9\""), R"("\xc3\xa9")");
}

TEST(PatternText, WhatIsCanonicalStaysAsItIs) {
    for (const char* text :
         {R"("cmd.exe")", R"("\x00\n\"\\")", "re:/a/b/", R"(re:/a\/b[/]/ims)", R"("\x90 1")"})
        EXPECT_EQ(bytes(text), text);
    for (const char* text : {"example.com", "=example.com", "_dmarc.xn--bcher-kva.example"})
        EXPECT_EQ(name(text), text);
}

TEST(PatternText, EachByteComesBack) {
    std::string all;
    for (int byte = 0; byte < 256; ++byte)
        all += static_cast<char>(byte);
    EXPECT_EQ(literal_bytes(literal_text(all)), all);
    const auto text = read_pattern(PatternType::bytes, literal_text(all));
    ASSERT_TRUE(text);
    EXPECT_EQ(*text, literal_text(all));
}

TEST(PatternText, ExpressionsKeepTheirText) {
    EXPECT_EQ(bytes("re:/a+/si"), "re:/a+/is");
    EXPECT_EQ(bytes("re:/a/b/"), "re:/a/b/");
    EXPECT_EQ(bytes(R"(re:/a\/b\\/m)"), R"(re:/a\/b\\/m)");
    const Expression expression = expression_of(R"(re:/a\/b/im)");
    EXPECT_EQ(expression.text, R"(a\/b)");
    EXPECT_EQ(expression.letters, "im");
    EXPECT_TRUE(is_expression("re:/a/"));
    EXPECT_FALSE(is_expression("\"re:/a/\""));
}

TEST(PatternText, NamesAreLowerCase) {
    EXPECT_EQ(name("Example.COM."), "example.com");
    EXPECT_EQ(name("=WWW.example.com"), "=www.example.com");
    EXPECT_EQ(name("com"), "com");
}

struct Wrong {
    PatternType type;
    std::string typed;
    std::size_t column;
    const char* part;  // of the message
};

TEST(PatternText, ErrorsSayWhere) {
    const Wrong all[] = {
        {PatternType::bytes, "", 0, "missing"},
        {PatternType::bytes, "\"\"", 0, "empty"},
        {PatternType::bytes, "\"abc", 4, "closing quote"},
        {PatternType::bytes, "\"abc\\\"", 6, "closing quote"},
        {PatternType::bytes, "\"abc\"d", 5, "behind the closing quote"},
        {PatternType::bytes, "\"ab\\qc\"", 3, "backslash"},
        {PatternType::bytes, "\"ab\\x4\"", 3, "hexadecimal"},
        {PatternType::bytes, "\"\\01\"", 1, "backslash"},
        {PatternType::bytes, "\"\\", 1, "backslash"},
        {PatternType::bytes, "hex:", 4, "empty"},
        {PatternType::bytes, "hex:909", 6, "hexadecimal"},
        {PatternType::bytes, "hex:90 90", 6, "hexadecimal"},
        {PatternType::bytes, "a b", 1, "quotes"},
        {PatternType::bytes, "a\\nb", 1, "quotes"},
        {PatternType::bytes, std::string(4001, 'a'), 0, "4000"},
        {PatternType::bytes, "re:", 3, "re:/EXPRESSION/"},
        {PatternType::bytes, "re:abc", 3, "re:/EXPRESSION/"},
        {PatternType::bytes, "re:/", 4, "missing"},
        {PatternType::bytes, "re:/abc", 7, "missing"},
        {PatternType::bytes, "re:/abc\\/", 9, "missing"},
        {PatternType::bytes, "re://", 4, "empty"},
        {PatternType::bytes, "re:/a/x", 6, "i m s"},
        {PatternType::bytes, "re:/a/ii", 7, "twice"},
        {PatternType::bytes, "re:/a\xc3\xa9/", 5, "\\xHH"},
        {PatternType::bytes, "re:/a\tb/", 5, "\\xHH"},
        {PatternType::names, "", 0, "missing"},
        {PatternType::names, "=", 1, "missing"},
        {PatternType::names, ".", 0, "missing"},
        {PatternType::names, ".com", 0, "between two dots"},
        {PatternType::names, "=a..com", 3, "between two dots"},
        {PatternType::names, "a.com..", 5, "between two dots"},
        {PatternType::names, "*.example.com", 0, "without a `*`"},
        {PatternType::names, "exa mple.com", 3, "letters, digits"},
        {PatternType::names,
         "b\xc3\xbc"
         "cher.de",
         1, "xn--"},
        {PatternType::names, std::string(64, 'a') + ".com", 63, "63"},
        {PatternType::names, std::string(300, 'a'), 253, "253"},
    };
    for (const Wrong& wrong : all) {
        const auto text = read_pattern(wrong.type, wrong.typed);
        ASSERT_FALSE(text) << wrong.typed;
        EXPECT_EQ(text.error().column, wrong.column) << wrong.typed << text.error().message;
        EXPECT_NE(text.error().message.find(wrong.part), std::string::npos)
            << wrong.typed << text.error().message;
    }
}

}  // namespace
}  // namespace sluice::patterns
