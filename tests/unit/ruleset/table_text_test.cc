#include "controlplane/ruleset/table_text.h"

#include <gtest/gtest.h>

namespace sluice::ruleset {
namespace {

using contract::TableDescriptor;
using contract::TableField;
using contract::TableType;

TableDescriptor table(TableType type, std::uint32_t fields = contract::kLegacyValue) {
    TableDescriptor descriptor;
    descriptor.type = type;
    descriptor.value_fields = fields;
    descriptor.flow_parts = contract::flow_part::all;
    return descriptor;
}

// The key as it is printed; or why it is none.
std::string key(TableType type, std::string_view text) {
    const auto parsed = parse_table_key(table(type), text);
    return parsed ? print_table_key(table(type), *parsed) : parsed.error().message;
}

std::string value(std::uint32_t fields, std::string_view text,
                  NumberStyle style = NumberStyle::decimal) {
    const TableDescriptor descriptor = table(TableType::addr, fields);
    const auto parsed = parse_table_value(descriptor, text);
    return parsed ? print_table_value(descriptor, *parsed, style) : parsed.error().message;
}

TEST(TableText, KeysAreBroughtIntoTheirForm) {
    EXPECT_EQ(key(TableType::addr, "10.1.2.3/8"), "10.0.0.0/8");
    EXPECT_EQ(key(TableType::addr, "2001:db8::1"), "2001:db8::1/128");
    EXPECT_EQ(key(TableType::number, "0x50"), "80");
    EXPECT_EQ(key(TableType::iface, "em0"), "em0");
    EXPECT_EQ(key(TableType::mac, "02:11:22:33:44:55/24"), "02:11:22:00:00:00/24");
    EXPECT_EQ(key(TableType::flow, "10.0.0.1,tcp,1024,10.0.0.2,http"),
              "10.0.0.1,6,1024,10.0.0.2,80");
}

TEST(TableText, WrongKeysAreNamed) {
    EXPECT_EQ(key(TableType::addr, "10.0.0.0/33"),
              "bad prefix length in \"10.0.0.0/33\"; expected 0 to 32");
    EXPECT_EQ(key(TableType::number, "4294967296"),
              "bad number \"4294967296\"; expected 0 to 4294967295");
    EXPECT_EQ(key(TableType::flow, "10.0.0.1,tcp,1,::1,2"),
              "the addresses of the flow \"10.0.0.1,tcp,1,::1,2\" are of two families");
    EXPECT_EQ(key(TableType::flow, "10.0.0.1,tcp"),
              "the flow \"10.0.0.1,tcp\" has 2 parts; expected "
              "src-ip,proto,src-port,dst-ip,dst-port");
    EXPECT_EQ(key(TableType::iface, "a_name_that_is_too_long"),
              "bad interface name \"a_name_that_is_too_long\"; expected 1 to 15 characters");
}

TEST(TableText, ValuesHaveTheFieldsOfTheirTable) {
    const auto bits = [](std::initializer_list<TableField> fields) {
        std::uint32_t mask = 0;
        for (const TableField field : fields)
            mask |= table_field_bit(field);
        return mask;
    };
    EXPECT_EQ(value(contract::kLegacyValue, "7"), "7");
    EXPECT_EQ(value(contract::kLegacyValue, "10.0.0.1"), "167772161");
    EXPECT_EQ(value(contract::kLegacyValue, "7", NumberStyle::address), "0.0.0.7");
    EXPECT_EQ(
        value(bits({TableField::skipto, TableField::ipv4, TableField::ipv6}), "100,10.0.0.1,::1"),
        "100,10.0.0.1,::1");
    EXPECT_EQ(value(bits({TableField::dscp}), "64"),
              "bad value \"64\" of dscp; expected a number up to 63");
    EXPECT_EQ(value(bits({TableField::skipto, TableField::fib}), "1"),
              "the value \"1\" has 1 parts; expected skipto,fib");
}

TEST(TableText, TypesAreGuessedFromKeys) {
    EXPECT_EQ(guess_table_type("10.0.0.0/8"), TableType::addr);
    EXPECT_EQ(guess_table_type("::1"), TableType::addr);
    EXPECT_EQ(guess_table_type("80"), TableType::number);
    EXPECT_EQ(guess_table_type("em0"), TableType::iface);
    EXPECT_EQ(guess_table_type("02:00:00:00:00:01"), TableType::mac);
}

}  // namespace
}  // namespace sluice::ruleset
