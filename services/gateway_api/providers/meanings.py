"""What is told about a payment, in our words, whichever provider told it."""

from enum import StrEnum
from typing import Literal

Source = Literal["callback", "webhook", "fetch", "staff"]


class Meaning(StrEnum):
    """What a fact says, in our words: the value of payment_facts.status.

    SIGNED is a callback's genuine pair of ids, which counts as success; CLAIMED is the same under the policy
    `capture`, which lets only the provider's own word count. ACCEPTED and REJECTED are a person's decision about a
    payment in review: it pays the order as it is, or it goes back. SETTLED is money that staff sent back past the
    provider, as by a bank transfer.
    """

    CAPTURED = "captured"
    SIGNED = "signed"
    CLAIMED = "claimed"
    AUTHORIZED = "authorized"
    FAILED = "failed"
    REFUND_PENDING = "refund_pending"
    REFUND_PROCESSED = "refund_processed"
    REFUND_FAILED = "refund_failed"
    DISPUTE_OPEN = "dispute_open"
    DISPUTE_WON = "dispute_won"
    DISPUTE_LOST = "dispute_lost"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    SETTLED = "settled"
