// What those see who only look: the metrics and the status page.
#include <utility>

#include "controlplane/service/controller.h"

namespace sluice::service {

void Controller::show() const {
    if (observation_ == nullptr)
        return;
    auto view = std::make_unique<metrics::View>(ruleset_);
    view->generation = generation_;
    if (link_.up())
        view->dataplane = facts_;
    view->foreign = foreign_.has_value();
    view->cost = cost_;
    view->panic = panic_;
    view->locked = locked_;
    view->waits_for_confirmation = reverts_at_.has_value();
    view->counters = memory_.counters();
    view->tables = table_sizes_;
    observation_->board.publish(std::move(view));
}

void Controller::tell_applied(metrics::Tally::Outcome outcome) {
    if (observation_ == nullptr)
        return;
    const std::chrono::duration<double> taken = EventLoop::Clock::now() - offer_began_;
    observation_->tally.apply(outcome, taken.count(), static_cast<double>(clock_s_()));
}

// How many entries tables have only the data plane knows. While something else is under way the
// next time will do.
void Controller::ask_for_sizes() {
    if (busy() || !link_.up() || foreign_)
        return;
    const std::vector<contract::TableDescriptor> tables = ruleset_.tables().all();
    if (tables.empty()) {
        if (!std::exchange(table_sizes_, {}).empty())
            show();
        return;
    }
    std::vector<contract::TableChange> questions;
    for (const contract::TableDescriptor& table : tables)
        questions.push_back({.verb = contract::TableVerb::info,
                             .flags = contract::table_change_flag::count_alone,
                             .table = table.id,
                             .key = {}});
    if (link_.change_tables(batch_bytes(questions, {}, {}), questions.size(),
                            contract::TablesMode::skip))
        sizing_ = tables;
}

void Controller::take_sizes(const Result<TableReply>& answer) {
    const std::vector<contract::TableDescriptor> tables =
        std::move(*std::exchange(sizing_, std::nullopt));
    table_sizes_.clear();
    if (!answer)
        return;
    const TableAnswer sizes = answer->answer();
    for (std::size_t i = 0; i < tables.size(); ++i)
        if (sizes.results[i].status == contract::TableStatus::done)
            table_sizes_.push_back(
                {.name = ruleset::table_name(tables[i]), .entries = sizes.results[i].count});
}

}  // namespace sluice::service
