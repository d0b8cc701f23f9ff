import { ApiError } from "./errors.js";

const TRACKS = [
  {
    id: "trk_abc123",
    title: "Bright Start",
    artist: "Nova Lane",
    duration_seconds: 142,
    bpm: 128,
    genre: "Electronic",
    moods: ["Upbeat", "Energetic"],
    has_vocals: false,
  },
  {
    id: "trk_def456",
    title: "Rain on Glass",
    artist: "Ilse Moor",
    duration_seconds: 201,
    bpm: 72,
    genre: "Piano",
    moods: ["Moody", "Calm"],
    has_vocals: false,
  },
  {
    id: "trk_ghi789",
    title: "Open Road",
    artist: "The Carriers",
    duration_seconds: 188,
    bpm: 104,
    genre: "Rock",
    moods: ["Upbeat", "Travel"],
    has_vocals: true,
  },
];

/** Returns a page of the tracks that contain any word of the query, or of all tracks if none does. */
export function search(query: string, offset: number, limit: number) {
  const words = query.toLowerCase().split(/\s+/);
  const known = TRACKS.map((track) => ({ track, text: JSON.stringify(track).toLowerCase() }));
  const found = known.filter(({ text }) => words.some((word) => text.includes(word)));
  return (found.length > 0 ? found : known).slice(offset, offset + limit).map(({ track }) => track);
}

/**
 * Returns a track as a file.
 *
 * @throws ApiError 404 if the id is unknown.
 */
export function download(id: string) {
  const track = TRACKS.find((track) => track.id === id);
  if (track === undefined) throw new ApiError(404, "not_found", "Track not found");
  const filename = `${track.title.toLowerCase().replaceAll(" ", "-")}.mp3`;
  return { filename, audio: Buffer.from(`ID3 ${track.title}`) }; // a placeholder for the audio
}
