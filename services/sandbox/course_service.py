"""The course service: GET /courses/{courseId} -> {courseId, name}."""

import re

from aiohttp import web

from services.sandbox.failures import FailureInjector

_SUBJECTS = (
    "Algebra", "Spoken English", "Classical Guitar", "Python Programming", "Organic Chemistry", "Hindi Literature",
    "Chess Openings", "Mechanics", "Carnatic Vocals", "Drawing", "Statistics", "Public Speaking",
)  # fmt: skip
_COURSE = re.compile(r"course-(\d{1,9})\Z")


def routes(failures: FailureInjector) -> list[web.RouteDef]:
    return [web.get("/courses/{courseId}", failures.wrap("course", get_course))]


async def get_course(request: web.Request) -> web.Response:
    """404 for anything but the ids that a seeded catalogue has, `course-` and a number."""
    name = course_name(request.match_info["courseId"])
    if name is None:
        return web.json_response({"error": "no such course"}, status=404)
    return web.json_response({"courseId": request.match_info["courseId"], "name": name})


def course_name(course_id: str) -> str | None:
    match = _COURSE.match(course_id)
    if match is None:
        return None
    number = int(match.group(1))
    level, subject = divmod(number - 1, len(_SUBJECTS))
    return f"{_SUBJECTS[subject]} {level + 1}"
