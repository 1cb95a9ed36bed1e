// The official Node SDK drives the simulated Razorpay; what it saw goes to standard output as JSON.
// Its host is built in: only that is bent to the sandbox's.

const Razorpay = require("razorpay");
const { validatePaymentVerification } = require("razorpay/dist/utils/razorpay-utils");

const { SANDBOX_URL, KEY_ID, KEY_SECRET } = process.env;
const client = new Razorpay({ key_id: KEY_ID, key_secret: KEY_SECRET });
client.api.rq.defaults.baseURL = `${SANDBOX_URL}/razorpay`;

async function control(path, command) {
  const answer = await fetch(`${SANDBOX_URL}/razorpay/control${path}`, { method: "POST", body: JSON.stringify(command) });
  return answer.json();
}

async function journey() {
  const order = await client.orders.create({
    amount: 50000,
    currency: "INR",
    receipt: "node_1",
    payment: { capture: "manual" },
  });
  const found = await client.orders.all({ receipt: "node_1" });
  const paid = await control(`/orders/${order.id}/pay`, { wait: true });
  const proven = validatePaymentVerification(
    { order_id: order.id, payment_id: paid.razorpay_payment_id },
    paid.razorpay_signature,
    KEY_SECRET,
  );
  const captured = await client.payments.capture(paid.payment_id, 50000, "INR");
  const payments = await client.orders.fetchPayments(order.id);
  const refund = await client.payments.refund(paid.payment_id, { amount: 20000 });
  while ((await client.refunds.fetch(refund.id)).status !== "processed") await new Promise((wake) => setTimeout(wake, 10));
  const raised = await control(`/orders/${order.id}/disputes`, { amount_paise: 10000 });
  const dispute = await client.disputes.accept(raised.dispute_id);
  const settled = await control("/settlements", { key_id: KEY_ID });
  const rows = await client.settlements.reports({ ...settled.settled_on, count: 100 });
  const refusal = await client.orders.fetch("order_00000000000000").catch((problem) => problem);
  return {
    found: found.items.map((item) => item.id),
    order: (await client.orders.fetch(order.id)).status,
    order_id: order.id,
    proven,
    captured: captured.status,
    payments: payments.items.map((item) => item.status),
    refund: (await client.refunds.fetch(refund.id)).amount,
    dispute: dispute.status,
    settlement: (await client.settlements.fetch(settled.id)).amount,
    rows: rows.items.map((row) => row.type),
    refusal: [refusal.statusCode, refusal.error.description],
  };
}

// The webhooks on standard input: [signature, body] each.
async function verified() {
  let text = "";
  for await (const chunk of process.stdin) text += chunk;
  const { webhooks, secret } = JSON.parse(text);
  return webhooks.map(([signature, body]) => Razorpay.validateWebhookSignature(body, signature, secret));
}

(process.argv[2] === "webhooks" ? verified() : journey())
  .then((result) => console.log(JSON.stringify(result)))
  .catch((problem) => {
    console.error(problem);
    process.exit(1);
  });
