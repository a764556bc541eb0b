"""The body of POST /api/v1/payments/confirm as the OpenAPI document shows it. Extra fields are ignored."""

from pydantic import BaseModel, ConfigDict, Field


class ConfirmBody(BaseModel):
    """Razorpay: the three razorpay_ fields. Stripe: provider and payment_intent."""

    model_config = ConfigDict(extra="ignore")

    provider: str | None = Field(None, description="razorpay when absent and razorpay_ fields are there")
    razorpay_order_id: str | None = None
    razorpay_payment_id: str | None = None
    razorpay_signature: str | None = None
    payment_intent: str | None = None
