#include "attribute/container_details.hpp"

#include <boost/json.hpp>
#include <string>

namespace imdsgate {
namespace {

namespace json = boost::json;

constexpr std::size_t kLongest = 1024;  // of a name; a registry's are shorter

std::string text_at(json::object const &object, char const *key) {
  auto const *value = object.if_contains(key);
  auto const *text = value ? value->if_string() : nullptr;
  return text && text->size() <= kLongest ? std::string(*text) : std::string();
}

json::object const *object_at(json::object const &object, char const *key) {
  auto const *value = object.if_contains(key);
  return value ? value->if_object() : nullptr;
}

// k8s_CONTAINER_POD_NAMESPACE_UID_ATTEMPT (cri-dockerd, core/naming.go); none of the words has an underscore.
bool is_named_for(std::string_view name, std::string const &pod, std::string const &pod_namespace) {
  constexpr std::string_view kMaker = "k8s_";
  if (!name.starts_with(kMaker)) return false;
  auto const end = name.find('_', kMaker.size());
  return end != name.npos && name.substr(end).starts_with('_' + pod + '_' + pod_namespace + '_');
}

void set_pod(ContainerDetails &details, json::object const &labels) {
  auto pod = text_at(labels, "io.kubernetes.pod.name");
  auto space = text_at(labels, "io.kubernetes.pod.namespace");
  if (pod.empty() || space.empty() || !is_named_for(details.name, pod, space)) return;
  details.pod = std::move(pod);
  details.pod_namespace = std::move(space);
}

}  // namespace

Result<ContainerDetails> parse_container(std::string_view text, std::string_view id) {
  boost::system::error_code code;
  auto const document = json::parse(text, code);
  auto const *object = code ? nullptr : document.if_object();
  if (!object) return Error{Errc::malformed, "its answer is no JSON object"};
  if (text_at(*object, "Id") != id) return Error{Errc::malformed, "its answer is about another container"};
  auto const *config = object_at(*object, "Config");
  ContainerDetails details;
  details.name = text_at(*object, "Name");
  if (details.name.starts_with('/')) details.name.erase(0, 1);
  if (config) details.image = text_at(*config, "Image");
  if (details.name.empty() || details.image.empty()) {
    return Error{Errc::malformed, "its answer has no name or no image"};
  }
  if (auto const *labels = object_at(*config, "Labels")) set_pod(details, *labels);
  return details;
}

}  // namespace imdsgate
