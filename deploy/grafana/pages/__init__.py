"""One module per dashboard. Each panel is a question that somebody asks who was woken, or who wants to sleep well."""

from deploy.grafana.pages import assignment, gateway, glance, retries, stages, workers
from deploy.grafana.panels import Page

PAGES: tuple[Page, ...] = (
    glance.PAGE,
    stages.PAGE,
    retries.PAGE,
    gateway.PAGE,
    assignment.PAGE,
    workers.PAGE,
)
