// Builds metric families of prometheus-cpp, one after the other.
#pragma once

#include <prometheus/metric_family.h>

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace sluice::metrics {

using Label = prometheus::ClientMetric::Label;
using Labels = std::vector<Label>;

class Family {
  public:
    explicit Family(prometheus::MetricFamily& family) : family_(&family) {}

    template <typename Number>
    void add(Labels labels, Number value) {
        prometheus::ClientMetric& metric = family_->metric.emplace_back();
        metric.label = std::move(labels);
        if (family_->type == prometheus::MetricType::Counter)
            metric.counter.value = static_cast<double>(value);
        else
            metric.gauge.value = static_cast<double>(value);
    }

    void add(prometheus::ClientMetric metric) { family_->metric.push_back(std::move(metric)); }
    void reserve(std::size_t metrics) { family_->metric.reserve(metrics); }

  private:
    prometheus::MetricFamily* family_;
};

class Families {
  public:
    // A family lives until the next one begins.
    Family counter(std::string name, std::string help) {
        return begin(std::move(name), std::move(help), prometheus::MetricType::Counter);
    }
    Family gauge(std::string name, std::string help) {
        return begin(std::move(name), std::move(help), prometheus::MetricType::Gauge);
    }
    Family histogram(std::string name, std::string help) {
        return begin(std::move(name), std::move(help), prometheus::MetricType::Histogram);
    }

    // Those of them that have metrics.
    std::vector<prometheus::MetricFamily> take() {
        std::erase_if(families_, [](const auto& family) { return family.metric.empty(); });
        return std::move(families_);
    }

  private:
    Family begin(std::string name, std::string help, prometheus::MetricType type) {
        families_.push_back({std::move(name), std::move(help), type, {}});
        return Family(families_.back());
    }

    std::vector<prometheus::MetricFamily> families_;
};

}  // namespace sluice::metrics
