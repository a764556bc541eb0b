"""Confirmations, and the way of events out of the database."""

from deploy.grafana.panels import Page, Panel
from deploy.grafana.shared import CONFIRMATION, CONFIRMATIONS, OUTBOX_OLDEST, PAYERS, quantile

PAGE = Page(
    uid="coursepay-gateway",
    title="coursepay gateway and outbox",
    description="What browsers and providers get, and how what they said leaves the database.",
    rows=[
        (
            "Confirmations",
            [
                CONFIRMATIONS,
                Panel(
                    title="Confirmation time",
                    question="How long do browsers wait?",
                    unit="s",
                    queries=[(quantile(share, CONFIRMATION), f"p{round(share * 100)}") for share in (0.5, 0.95, 0.99)]
                    + [(quantile(0.99, CONFIRMATION, matchers=f'{{outcome=~"{PAYERS}"}}'), "p99 of those who paid")],
                    limit=2,
                    alert="CoursepayConfirmationSlow",
                ),
                Panel(
                    title="Refused by a rate limit",
                    question="Does somebody ask too often?",
                    unit="reqps",
                    queries=[("sum(rate(coursepay_rate_limited_total[$__rate_interval]))", "refused")],
                ),
                Panel(
                    title="Signing secrets in use",
                    question="Is an old secret still used, or can it be taken away? The first is the current one.",
                    unit="short",
                    queries=[
                        (
                            "sum by (provider, position) (increase(coursepay_secret_used_total[$__range]))",
                            "{{provider}} {{position}}",
                        )
                    ],
                ),
            ],
        ),
        (
            "For a person",
            [
                Panel(
                    title="Payments in review",
                    question="How many payments wait for finance to decide?",
                    unit="short",
                    queries=[("max(coursepay_payments_in_review)", "in review")],
                    limit=1,
                    alert="CoursepayPaymentsInReview",
                ),
                Panel(
                    title="Refunds and verifications given up",
                    question="Does money that is owed go back, and is what was signed confirmed?",
                    unit="short",
                    queries=[("max(coursepay_payment_tasks_given_up)", "given up")],
                    limit=1,
                    alert="CoursepayPaymentTaskGivenUp",
                ),
                Panel(
                    title="Captures without an order",
                    question="Has anybody paid for nothing that is known here?",
                    unit="short",
                    queries=[("max(coursepay_captures_without_order)", "payments")],
                    limit=1,
                    alert="CoursepayCaptureWithoutOrder",
                ),
                Panel(
                    title="Since a provider was compared",
                    question="Is all that a provider knows compared with the books each day?",
                    unit="s",
                    queries=[("max by (provider) (coursepay_provider_sweep_age_seconds)", "{{provider}}")],
                    limit=172_800,
                    alert="CoursepayProviderNotCompared",
                ),
            ],
        ),
        (
            "Outbox",
            [
                Panel(
                    title="Events that are not in Kafka",
                    question="How many committed events wait?",
                    unit="short",
                    queries=[("max(coursepay_outbox_pending_rows)", "waiting")],
                ),
                OUTBOX_OLDEST,
                Panel(
                    title="Published per second",
                    question="Do the relays work?",
                    unit="ops",
                    queries=[("sum(rate(coursepay_outbox_published_total[$__rate_interval]))", "published")],
                ),
                Panel(
                    title="From commit to Kafka",
                    question="How long until Kafka has an event?",
                    unit="s",
                    queries=[
                        (quantile(share, "coursepay_outbox_delay_seconds"), f"p{round(share * 100)}")
                        for share in (0.5, 0.99)
                    ],
                ),
            ],
        ),
    ],
)
