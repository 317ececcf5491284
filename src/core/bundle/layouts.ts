/** Folders that other programs load, in the place of archives. */
export const FOLDER_LAYOUTS = ['huggingface', 'triton'] as const;
export type FolderLayout = (typeof FOLDER_LAYOUTS)[number];

export const RELEASE_LAYOUTS = ['archive', ...FOLDER_LAYOUTS] as const;
export type ReleaseLayout = (typeof RELEASE_LAYOUTS)[number];
