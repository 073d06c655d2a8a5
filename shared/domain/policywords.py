"""A policy in words, as `plan`, `explain` and the page print it before it is attached (row S6)."""

from __future__ import annotations

from shared.domain.model import Frequency, Policy, Retention, Schedule


def policy_words(policy: Policy) -> str:
    """Give kind, schedule and retention in one line."""
    parts = [f"{policy.name} ({policy.kind.value})", schedule_words(policy)]
    parts.append(retention_words(policy.retention))
    if policy.instant_restore_days is not None:
        parts.append(f"instant restore {policy.instant_restore_days} days")
    if policy.crash_consistent_only:
        parts.append("crash-consistent only")
    return "; ".join(parts)


def schedule_words(policy: Policy) -> str:
    """Give when backups start, with the policy's own time zone."""
    schedule = policy.schedule
    if schedule is None:
        return "schedule cannot be read"
    return f"{_starts(schedule)} {policy.time_zone}"


def _starts(schedule: Schedule) -> str:
    times = ", ".join(f"{one:%H:%M}" for one in schedule.times) or "at an unknown time"
    match schedule.frequency:
        case Frequency.HOURLY:
            return (
                f"every {schedule.interval_hours} hours from {times} for"
                f" {schedule.window_hours} hours"
            )
        case Frequency.DAILY:
            return f"daily at {times}"
        case Frequency.WEEKLY:
            return f"{', '.join(schedule.days) or 'weekly'} at {times}"


def retention_words(retention: Retention | None) -> str:
    """Give how long points are kept, tier by tier."""
    if retention is None:
        return "retention cannot be read"
    tiers = (
        (retention.daily_days, "daily points {} days"),
        (retention.weekly_weeks, "weekly points {} weeks"),
        (retention.monthly_months, "monthly points {} months"),
        (retention.yearly_years, "yearly points {} years"),
    )
    kept = [words.format(number) for number, words in tiers if number is not None]
    return "keeps " + (", ".join(kept) if kept else "nothing")
