// One term of a rule against one packet; see slow_engine.h.
#pragma once

#include "controlplane/language/model.h"
#include "dataplane/packet/environment.h"
#include "dataplane/packet/packet.h"
#include "tests/reference/slow_marks.h"
#include "tests/reference/slow_packet.h"
#include "tests/reference/slow_tables.h"

namespace sluice::reference {

struct Situation {
    const SlowPacket& packet;
    const packet::Passage& passage;
    const packet::Environment& environment;
    const SlowMarks& marks;
    const SlowTables& tables;
    unsigned rule_number = 0;       // of the rule that is tested
    std::uint32_t& table_argument;  // becomes the value of what was found last
};

bool term_matches(const Situation& situation, const language::Term& term);

// An empty group asks nothing.
bool group_matches(const Situation& situation, const language::Group& group);

}  // namespace sluice::reference
