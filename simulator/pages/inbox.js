"use strict";
// Draws the messages that the page carries. Text goes in as text, never as HTML.

const dark = new URLSearchParams(location.search).get("theme") === "dark";
document.documentElement.classList.toggle("dark", dark);
const kept = JSON.parse(document.getElementById("messages").textContent);
const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function hostConfig() {
  const foreground = {
    default: { default: color("--text"), subtle: color("--subtle") },
  };
  const style = (background) => ({ backgroundColor: background, foregroundColors: foreground });
  return {
    fontFamily: getComputedStyle(document.body).fontFamily,
    spacing: { small: 4, default: 8, medium: 12, large: 16, extraLarge: 24, padding: 12 },
    separator: { lineThickness: 1, lineColor: color("--line") },
    containerStyles: {
      default: style(color("--card")),
      good: style(color("--good")),
      attention: style(color("--attention")),
    },
    supportsInteractivity: true,
    actions: { maxActions: 5, actionsOrientation: "horizontal", actionAlignment: "left" },
  };
}

function article(title, when) {
  const made = document.createElement("article");
  const head = document.createElement("h2");
  head.textContent = `${title} · ${when}`;
  made.append(head);
  document.getElementById("letters").append(made);
  return made;
}

function showCard(message) {
  const place = article("Teams", message.at);
  const content = message.message?.attachments?.[0]?.content;
  if (!window.AdaptiveCards || !content) {
    const raw = document.createElement("pre");
    raw.textContent = JSON.stringify(message, null, 2);
    place.append(raw);
    return;
  }
  const card = new AdaptiveCards.AdaptiveCard();
  card.hostConfig = new AdaptiveCards.HostConfig(hostConfig());
  card.onExecuteAction = (action) => window.open(action.url, "_blank", "noopener,noreferrer");
  const context = new AdaptiveCards.SerializationContext();
  card.parse(content, context);
  place.append(card.render());
  place.dataset.problems = JSON.stringify(
    [...Array(context.eventCount).keys()].map((at) => context.getEventAt(at).message),
  );
}

function showMail(message) {
  const mail = message.message;
  const place = article(`${mail.to.join(", ")} · ${mail.subject}`, message.at);
  const frame = document.createElement("iframe");
  frame.setAttribute("sandbox", ""); // no scripts, no forms, no way out
  frame.title = mail.subject;
  frame.srcdoc = mail.html;
  frame.style.colorScheme = dark ? "dark" : "light";
  place.append(frame);
}

for (const message of kept.teams ?? []) showCard(message);
for (const message of kept.mail ?? []) showMail(message);
document.body.dataset.ready = "yes";
