"""Searches over a list of networks or tasks: stage two, scaling, proxy design, rediscovery."""

from nas.lazy import lazy_names

__getattr__, __dir__, __all__ = lazy_names(
    __name__,
    {
        "stage_two": ["FullResult", "full_results", "stage_two_settings"],
        "scaling": ["StudyPoint", "coefficient_settings", "study_points", "study_settings"],
        "proxy_design": ["ProxySetting", "proxy_settings", "read_proxy", "recommend"],
        "proxy_study": ["ProxyResult", "ProxyStudy"],
        "rediscovery": ["Rediscovery", "trace_rediscovery"],
    },
)
