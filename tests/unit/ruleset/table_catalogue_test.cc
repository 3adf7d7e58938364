#include "controlplane/ruleset/table_catalogue.h"

#include <gtest/gtest.h>

#include "controlplane/language/rule_parser.h"
#include "controlplane/ruleset/ruleset.h"

namespace sluice::ruleset {
namespace {

using contract::TableType;

language::Rule rule(const std::string& text) {
    auto parsed = language::parse_rule(text, language::refusing_resolver());
    EXPECT_TRUE(parsed) << text;
    return *parsed;
}

TEST(TableCatalogue, RulesMakeTheTablesThatTheyName) {
    Ruleset rules(false);
    ASSERT_TRUE(
        rules.add(rule("allow ip from table(a) to table(2,7) recv table(i) lookup dst-port n")));
    const auto made = rules.tables().take_made();
    ASSERT_EQ(made.size(), 4u);
    EXPECT_EQ(rules.tables().find("a")->type, TableType::addr);
    EXPECT_EQ(rules.tables().find("i")->type, TableType::iface);
    EXPECT_EQ(rules.tables().find("n")->type, TableType::number);
    EXPECT_TRUE(rules.tables().take_made().empty());
    EXPECT_EQ(rules.table_references("a"), 1u);
    EXPECT_EQ(rules.table_references("b"), 0u);
    const auto wrong = rules.add(rule("allow ip from table(i) to any"));
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().message,
              "table i is of type iface; the rule asks for one of type addr");
}

TEST(TableCatalogue, CopiesAreApartAndIdsAreNotDealtTwice) {
    TableCatalogue first;
    ASSERT_TRUE(first.create("a", TableType::addr));
    TableCatalogue second = first;
    const auto b = second.create("b", TableType::addr);
    EXPECT_EQ(first.find("b"), nullptr);
    second.remove("b");
    EXPECT_NE(second.create("c", TableType::addr)->id, b->id);
    EXPECT_NE(second.find("a"), nullptr);
}

TEST(TableCatalogue, NumbersComeFirstInOrder) {
    TableCatalogue tables;
    for (const char* name : {"10", "b", "9", "a"})
        ASSERT_TRUE(tables.create(name, TableType::addr));
    std::string names;
    for (const contract::TableDescriptor& table : tables.all())
        names += table_name(table) + " ";
    EXPECT_EQ(names, "9 10 a b ");
}

TEST(TableCatalogue, AnAlgorithmMustBeOneOfTheType) {
    TableCatalogue tables;
    language::TableCommand command;
    command.table = "t";
    command.algorithm = "flow:hash";
    const auto refused = tables.create(command);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().status, ExitStatus::data);
    command.algorithm = "addr:hash masks=/32,/64";
    EXPECT_TRUE(tables.create(command));
}

}  // namespace
}  // namespace sluice::ruleset
